"""The training steps as they circulate in copies of the Keras examples, for benchmarks/speed.py."""

import keras
import tensorflow as tf


class Sampling(keras.layers.Layer):
    """Draw z from the two heads."""

    def call(self, heads):
        z_mean, z_log_var = heads
        epsilon = keras.random.normal(keras.ops.shape(z_mean))
        return z_mean + keras.ops.exp(0.5 * z_log_var) * epsilon


class VAE(keras.Model):
    """z made inside the encoder, a mean over pixels scaled back, three trackers, no test step."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = keras.Model(encoder.input, [*encoder.output, Sampling()(encoder.output)])
        self.decoder = decoder
        names = ("loss", "reconstruction_loss", "kl_loss")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, data):
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            # The loss is a mean over the pixels: times their number, it is the sum.
            pixel_mean = keras.losses.binary_crossentropy(data, reconstruction)  # (batch,)
            reconstruction_loss = keras.ops.mean(784 * pixel_mean)
            kl = -0.5 * (1 + z_log_var - keras.ops.square(z_mean) - keras.ops.exp(z_log_var))
            kl_loss = keras.ops.mean(keras.ops.sum(kl, axis=1))
            loss = reconstruction_loss + kl_loss
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
        for tracker, value in zip(self.trackers, (loss, reconstruction_loss, kl_loss)):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class GAN(keras.Model):
    """Real and fake in one batch for the discriminator, then fresh noise for the generator."""

    def __init__(self, generator, discriminator, noise_dim):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.noise_dim = noise_dim
        self.trackers = [keras.metrics.Mean(name=name) for name in ("d_loss", "g_loss")]

    def compile(self, g_optimizer, d_optimizer, **kwargs):
        super().compile(**kwargs)
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, real):
        num = tf.shape(real)[0]
        noise = tf.random.normal((num, self.noise_dim))
        both = tf.concat([self.generator(noise, training=True), real], axis=0)
        labels = tf.concat([tf.zeros((num, 1)), 0.9 * tf.ones((num, 1))], axis=0)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(both, training=True))
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights))
        noise = tf.random.normal((num, self.noise_dim))
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(noise, training=True), training=True)
            g_loss = self.loss_fn(tf.ones((num, 1)), logits)
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights))
        for tracker, value in zip(self.trackers, (d_loss, g_loss)):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}
