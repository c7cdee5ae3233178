"""Half a test bench for keras_vae.diagnose: faulty models and sound ones, a builder for each."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import keras_vae
from keras_vae import dense_decoder, dense_discriminator, dense_encoder, dense_generator
from keras_vae import gaussian_encoder


@functools.cache
def data():
    """Return 1000 training images, their labels, 360 test images, their labels."""
    _, (x, y), (x_test, y_test) = keras_vae.load_images("digits")
    return x[:1000], y[:1000], x_test, y_test


def case(scale=lambda x: x, num=1000, **arguments):
    """Return the arguments of diagnose, with scaled training and test images."""
    x, _, x_test, _ = data()
    return {**arguments, "x": scale(x[:num]), "x_test": scale(x_test)}


def bytes_of(x):
    """Return images as a file holds them, 0 to 255, float32."""
    return np.round(255 * x).astype("float32")


def networks(hidden=(64,), latent_dim=8, decoder_hidden=None, end=None):
    """Return a Gaussian encoder and a decoder of the package; logits if it has no end."""
    encoder = gaussian_encoder(784, hidden, latent_dim)
    backwards = hidden[::-1] if decoder_hidden is None else decoder_hidden
    return encoder, dense_decoder(latent_dim, backwards, 784, output_activation=end)


def heads(mean=None, log_var=None, latent_dim=8):
    """Return a Gaussian encoder whose heads have these activations."""
    pixels = keras.Input((784,))
    hidden = layers.Dense(64, "relu")(pixels)
    z_mean = layers.Dense(latent_dim, mean, name="z_mean")(hidden)
    z_log_var = layers.Dense(latent_dim, log_var, name="z_log_var")(hidden)
    return keras.Model(pixels, [z_mean, z_log_var])


def fit(model, epochs, arrays):
    """Fit a model; all passes over the data are one epoch of Keras's, which is faster."""
    if epochs:
        model.fit(keras_vae.batches(arrays, 125, passes=epochs), verbose=0)
    return model


def train(model, epochs, rate=0.003, x=None, y=None, **compiled):
    """Compile a model with Adam, fit it and return it; 8 steps an epoch."""
    x = data()[0] if x is None else x
    model.compile(optimizer=keras.optimizers.Adam(rate), steps_per_execution=8, **compiled)
    return fit(model, epochs, x if y is None else (x, y))


def minimise(loss, *nets, steps=100, rate=0.003, x=None):
    """Train loose networks: minimise loss(x) by Adam on batches of 125."""
    x = data()[0] if x is None else x
    variables = [v for net in nets for v in net.trainable_variables]
    adam = keras.optimizers.Adam(rate)
    adam.build(variables)

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            value = loss(batch)
        adam.apply_gradients(zip(tape.gradient(value, variables), variables))

    rng = np.random.default_rng(0)
    for _ in range(steps):
        step(tf.constant(x[rng.choice(len(x), 125)]))


def sample(z_mean, z_log_var):
    """Draw z by the reparameterisation trick."""
    return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))


def kl_of(z_mean, z_log_var):
    """Return the KL of each image in nats, (batch,)."""
    terms = 1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var)
    return -0.5 * tf.reduce_sum(terms, axis=1)


def nats_of(x, logits):
    """Return the Bernoulli reconstruction loss of each image, (batch,)."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, logits), axis=1)


def summed_bce(x, pixels):
    """Return the cross-entropy of probabilities, a sum over the 784 pixels, (batch,)."""
    return 784 * keras.losses.binary_crossentropy(x, pixels)


def loose(encoder, decoder, draw=sample, kl=kl_of, nats=nats_of, steps=0, **arguments):
    """Return a case of loose networks, trained by so many steps, with a loss of these parts."""
    def loss(x):
        z_mean, z_log_var = encoder(x)
        reconstruction = nats(x, decoder(draw(z_mean, z_log_var)))
        return tf.reduce_mean(reconstruction + kl(z_mean, z_log_var))

    minimise(loss, encoder, decoder, steps=steps)
    return case(encoder=encoder, decoder=decoder, loss=loss, **arguments)


class PlainVAE(keras.Model):
    """A VAE with a train_step of its own and metric trackers; its parts are there to override."""

    def __init__(self, encoder=None, decoder=None):
        super().__init__()
        own = networks()
        self.encoder, self.decoder = encoder or own[0], decoder or own[1]
        self.total_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_tracker = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.total_tracker, self.reconstruction_tracker, self.kl_tracker]

    def draw(self, z_mean, z_log_var):
        return sample(z_mean, z_log_var)

    def nats(self, x, output):
        return nats_of(x, output)

    def kl(self, z_mean, z_log_var):
        return kl_of(z_mean, z_log_var)

    def total(self, reconstruction, kl):
        return reconstruction + kl

    def train_step(self, x):
        with tf.GradientTape() as tape:
            z_mean, z_log_var = self.encoder(x, training=True)
            output = self.decoder(self.draw(z_mean, z_log_var), training=True)
            reconstruction = tf.reduce_mean(self.nats(x, output))
            kl = tf.reduce_mean(self.kl(z_mean, z_log_var))
            loss = self.total(reconstruction, kl)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.total_tracker.update_state(loss)
        self.reconstruction_tracker.update_state(reconstruction)
        self.kl_tracker.update_state(kl)
        return {m.name: m.result() for m in self.metrics}


def plain(epochs=0, encoder=None, decoder=None, **parts):
    """Return a case of a PlainVAE with some parts put in the place of its own."""
    parts = {name: staticmethod(part) for name, part in parts.items()}
    vae = type("VAE", (PlainVAE,), parts)(encoder, decoder)
    return case(model=train(vae, epochs))


class Sampling(layers.Layer):
    """Uses (z_mean, z_log_var) to sample z, as in the keras.io example."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


class SamplingWithKL(Sampling):
    """Samples z and adds the KL to the model's losses."""

    def call(self, inputs):
        self.add_loss(ops.mean(kl_of(*inputs)))
        return super().call(inputs)


class KerasIoVAE(keras.Model):
    """The keras.io example, dense: an encoder of three outputs, a decoder with a sigmoid."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self.reconstruction_loss_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker, self.reconstruction_loss_tracker, self.kl_loss_tracker]

    def losses_of(self, data, reconstruction, z_mean, z_log_var):
        """Return the two losses of the batch."""
        loss = ops.mean(summed_bce(data, reconstruction))
        return loss, ops.mean(kl_of(z_mean, z_log_var))

    def train_step(self, data):
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            losses = self.losses_of(data, reconstruction, z_mean, z_log_var)
            reconstruction_loss, kl_loss = losses
            total_loss = reconstruction_loss + kl_loss
        grads = tape.gradient(total_loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
        self.total_loss_tracker.update_state(total_loss)
        self.reconstruction_loss_tracker.update_state(reconstruction_loss)
        self.kl_loss_tracker.update_state(kl_loss)
        return {
            "loss": self.total_loss_tracker.result(),
            "reconstruction_loss": self.reconstruction_loss_tracker.result(),
            "kl_loss": self.kl_loss_tracker.result(),
        }


def three_outputs(sampling=None, latent_dim=8):
    """Return an encoder x → [z_mean, z_log_var, z], and a decoder with a sigmoid."""
    encoder, decoder = networks(latent_dim=latent_dim, end="sigmoid")
    z = (sampling or Sampling())(encoder.outputs)
    return keras.Model(encoder.input, [*encoder.outputs, z], name="encoder"), decoder


def functional(encoder, decoder, z):
    """Return the functional model x → decoder(z), which knows its two networks."""
    model = keras.Model(encoder.input, decoder(z))
    model.encoder, model.decoder = encoder, decoder
    return model


def plain_autoencoder(end="sigmoid"):
    """Return a functional autoencoder 784–64–8–64–784 that knows its two networks."""
    encoder = dense_encoder(784, (64,), 8)
    return functional(encoder, dense_decoder(8, (64,), 784, end), encoder.output)


class PlainGAN(keras.Model):
    """The keras.io example, dense: generated images have the label 1, real ones 0; logits."""

    def __init__(self, generator=None, discriminator=None, latent_dim=16):
        super().__init__()
        self.generator = generator or dense_generator(latent_dim, (64,), 784)
        self.discriminator = discriminator or dense_discriminator(784, (64,))
        self.latent_dim = latent_dim

    def compile(self, d_optimizer, g_optimizer, **kwargs):
        super().compile(**kwargs)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def d_loss_of(self, fake, real):
        """Return the discriminator's loss for what it says of both kinds of images."""
        return 0.5 * (self.loss_fn(ops.ones_like(fake), fake)
                      + self.loss_fn(ops.zeros_like(real), real))

    def g_loss_of(self, fake):
        """Return the generator's loss for what the discriminator says."""
        return self.loss_fn(ops.zeros_like(fake), fake)

    def d_gradients(self, gradients):
        """Return the gradients that the discriminator's optimizer gets."""
        return gradients

    def train_step(self, real_images):
        batch_size = ops.shape(real_images)[0]
        noise = keras.random.normal((batch_size, self.latent_dim))
        generated_images = self.generator(noise)
        with tf.GradientTape() as tape:
            fake, real = self.discriminator(generated_images), self.discriminator(real_images)
            d_loss = self.d_loss_of(fake, real)
        weights = self.discriminator.trainable_weights
        grads = self.d_gradients(tape.gradient(d_loss, weights))
        self.d_optimizer.apply_gradients(zip(grads, weights))
        noise = keras.random.normal((batch_size, self.latent_dim))
        with tf.GradientTape() as tape:
            g_loss = self.g_loss_of(self.discriminator(self.generator(noise)))
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights))
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


def adams(rates):
    """Return an Adam for GANs for each of two rates."""
    return [keras.optimizers.Adam(rate, beta_1=0.5) for rate in rates]


def train_gan(gan, epochs, d_rate=0.002, g_rate=0.002):
    """Train a PlainGAN and return it."""
    gan.compile(*adams((d_rate, g_rate)), steps_per_execution=8)
    return fit(gan, epochs, data()[0])


def package_gan(epochs, g_rate, d_rate, width=64):
    """Return a GAN of the package in chapter 8's form, trained for 8 steps an epoch."""
    generator = dense_generator(16, (width,), 784)
    discriminator = dense_discriminator(784, (width,), dropout=0.3)
    gan = keras_vae.GAN(generator, discriminator, label_smoothing=0.1, seed=0)
    gan.compile(*adams((g_rate, d_rate)), steps_per_execution=8)
    return fit(gan, epochs, data()[0])


def loose_players():
    """Return a generator of 16 numbers of noise, and a discriminator of one logit."""
    return dense_generator(16, (64,), 784), dense_discriminator(784, (64,))


# Faulty: the errata of the articles


def a0_2():
    """One head, behind a ReLU and called the mean, and noise of deviation 1 (half trained)."""
    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = dense_encoder(784, (64,), 8, latent_activation="relu")
            self.decoder = dense_decoder(8, (64,), 784, output_activation="sigmoid")

        def call(self, x):
            mean = self.encoder(x)
            return self.decoder(mean + tf.random.normal(tf.shape(mean)))

    keras.utils.set_random_seed(1)
    return case(model=train(VAE(), 4, y=data()[0], loss="mse"))


def a0_7():
    """A VAE with beta whose loss is the squared error alone, summed (half trained)."""
    class VAE(PlainVAE):
        def __init__(self, beta):
            super().__init__(decoder=dense_decoder(8, (64,), 784, output_activation="sigmoid"))
            self.beta = beta

        def nats(self, x, output):
            return tf.reduce_sum((x - output) ** 2, axis=1)

        def total(self, reconstruction, kl):
            return reconstruction

    keras.utils.set_random_seed(2)
    return case(model=train(VAE(beta=4.0), 4))


def a0_10():
    """The KL is the mean over draws of the prior of log q(z | x) − log p(z) (fresh)."""
    def kl(z_mean, z_log_var):
        z = tf.random.normal(tf.shape(z_mean))
        log_q = -0.5 * (z_log_var + tf.square(z - z_mean) * tf.exp(-z_log_var))
        return tf.reduce_sum(log_q + 0.5 * tf.square(z), axis=1)

    keras.utils.set_random_seed(3)
    return loose(*networks(), kl=kl)


def a1_3():
    """The package's VAE with a mean behind a ReLU (trained)."""
    keras.utils.set_random_seed(4)
    vae = keras_vae.VAE(heads("relu"), networks()[1], seed=0)
    return case(model=train(vae, 15))


def a1_4():
    """The log-variance is the logarithm of a linear layer's output: NaN (six steps)."""
    keras.utils.set_random_seed(5)
    encoder, decoder = networks()
    z_mean, scale = encoder.outputs
    return loose(keras.Model(encoder.input, [z_mean, 2 * ops.log(scale)]), decoder, steps=6)


def a1_8():
    """The KL taken for a distance: the divergence of the prior from q, the wrong way round."""
    def kl(z_mean, z_log_var):
        squares = (1 + tf.square(z_mean)) * tf.exp(-z_log_var)
        return 0.5 * tf.reduce_sum(z_log_var + squares - 1, axis=1)

    keras.utils.set_random_seed(6)
    return plain(10, kl=kl)


def a1_11():
    """A1's class, all else mended, compiled with a cross-entropy: no KL anywhere (trained)."""
    class VariationalAutoencoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = networks(end="sigmoid")

        def call(self, x):
            return self.decoder(sample(*self.encoder(x)))

    keras.utils.set_random_seed(7)
    model = train(VariationalAutoencoder(), 15, y=data()[0], loss=summed_bce)
    return case(model=model)


def a1_15():
    """Only the KL is the encoder's: z passes a stop_gradient on its way to the decoder."""
    keras.utils.set_random_seed(8)
    return plain(8, draw=lambda *heads: tf.stop_gradient(sample(*heads)))


def a1_17():
    """A functional model compiled with Keras's Huber loss, a mean, and a KL added as a sum."""
    keras.utils.set_random_seed(9)
    encoder, decoder = networks(end="sigmoid")
    model = functional(encoder, decoder, SamplingWithKL()(encoder.outputs))
    return case(model=train(model, 6, y=data()[0], loss=keras.losses.Huber()))


def a2_1():
    """z is the normalised mean: a LayerNormalization in the place of a draw (half trained)."""
    keras.utils.set_random_seed(10)
    encoder, decoder = networks()
    z = layers.LayerNormalization()(decoder.input)
    return plain(4, encoder, keras.Model(decoder.input, decoder(z)), draw=lambda m, v: m)


def a2_3():
    """The decoder ends in a sigmoid, and the loss takes its pixels for logits (trained)."""
    class VAE(KerasIoVAE):
        def losses_of(self, data, reconstruction, z_mean, z_log_var):
            loss = ops.mean(nats_of(data, reconstruction))
            return loss, ops.mean(kl_of(z_mean, z_log_var))

    keras.utils.set_random_seed(11)
    return case(model=train(VAE(*three_outputs()), 15))


def a2_5():
    """The loss is the KL less the squared error: minus the printed bound (fresh)."""
    def nats(x, output):
        return -0.5 * tf.reduce_sum((x - output) ** 2, axis=1)

    keras.utils.set_random_seed(12)
    return plain(nats=nats)


def a2_7():
    """The package's VAE with 64 latent variables (A2 has 256), most without use (trained)."""
    keras.utils.set_random_seed(13)
    vae = keras_vae.VAE(*networks(latent_dim=64), seed=0)
    return case(model=train(vae, 80, 0.005))


def a2_9():
    """z is the mean, the one loss is the output's cross-entropy: no KL, no noise (trained)."""
    keras.utils.set_random_seed(14)
    encoder, decoder = networks(end="sigmoid")
    model = functional(encoder, decoder, encoder.outputs[0])
    return case(model=train(model, 10, y=data()[0], loss="binary_crossentropy"))


def a3_2():
    """An autoencoder with sigmoid outputs for standardised data, half of them negative."""
    keras.utils.set_random_seed(15)
    x, _, x_test, _ = data()
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 0.1
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    model = train(plain_autoencoder(), 10, x=x, y=x, loss="mse")
    return {"model": model, "x": x, "x_test": x_test}


def a3_5():
    """The decoder drops two hidden layers and returns a third's output times itself (fresh)."""
    class Decoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden_1, self.hidden_2 = layers.Dense(32, "relu"), layers.Dense(64, "relu")
            self.last = layers.Dense(784, "sigmoid")

        def call(self, z):
            self.hidden_2(self.hidden_1(z))
            return self.last(z) * self.last(z)

    keras.utils.set_random_seed(16)
    decoder = Decoder()
    decoder(tf.zeros((1, 8)))
    return loose(networks()[0], decoder, nats=summed_bce)


def a3_6():
    """A class called variational whose encoder has one output, compiled with mse (trained)."""
    class VariationalAutoencoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(8)])
            self.decoder = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(784)])

        def call(self, x):
            return self.decoder(self.encoder(x))

    keras.utils.set_random_seed(17)
    return case(model=train(VariationalAutoencoder(), 20, y=data()[0], loss="mse"))


def a3_11():
    """The mean goes through a sigmoid (fresh)."""
    keras.utils.set_random_seed(18)
    return plain(encoder=heads("sigmoid"))


def a3_15():
    """A sound VAE whose test images are 300 of the training images (trained)."""
    keras.utils.set_random_seed(19)
    arguments = case(model=train(keras_vae.VAE(*networks(), seed=0), 20))
    return {**arguments, "x_test": arguments["x"][:300]}


def a3_20():
    """An autoencoder whose decoder ends in a tanh, with a cross-entropy (fresh)."""
    keras.utils.set_random_seed(20)
    model = plain_autoencoder("tanh")
    model.compile("adam", "binary_crossentropy")
    return case(model=model)


def a3_20_linear():
    """An autoencoder without a sigmoid at its end, with a cross-entropy (trained)."""
    keras.utils.set_random_seed(21)
    model = plain_autoencoder(None)
    return case(model=train(model, 10, y=data()[0], loss="binary_crossentropy"))


def a4_3():
    """Means of sigmoid outputs as losses, until D is sure and the gradients are gone."""
    class SigmoidGAN(PlainGAN):
        def d_loss_of(self, fake, real):
            return ops.mean(fake) - ops.mean(real)

        def g_loss_of(self, fake):
            return -ops.mean(fake)

    keras.utils.set_random_seed(22)
    stack = [keras.Input((784,)), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    gan = SigmoidGAN(discriminator=keras.Sequential(stack))
    return case(model=train_gan(gan, 12, 0.01, 0.0001))


def a4_10():
    """The discriminator takes steps up its own loss (eight steps)."""
    class AscendingGAN(PlainGAN):
        def d_gradients(self, gradients):
            return [-g for g in gradients]

    keras.utils.set_random_seed(23)
    return case(model=train_gan(AscendingGAN(), 1, 0.0002, 0.0002))


# Faulty: find the bug


def bug_1():
    """A loose autoencoder with a cross-entropy on images of 0 to 255 (trained)."""
    keras.utils.set_random_seed(31)
    encoder = dense_encoder(784, (), 32)
    decoder = dense_decoder(32, (), 784, output_activation="sigmoid")

    def loss(x):
        return tf.reduce_mean(keras.losses.binary_crossentropy(x, decoder(encoder(x))))

    minimise(loss, encoder, decoder, steps=50, x=bytes_of(data()[0]))
    return case(bytes_of, encoder=encoder, decoder=decoder, loss=loss)


def bug_2():
    """Loose networks, the mean behind a ReLU (fresh)."""
    keras.utils.set_random_seed(32)
    return loose(heads("relu"), networks()[1])


def bug_3():
    """The fakes are made before the tape: the generator gets no gradient, and None is skipped."""
    keras.utils.set_random_seed(33)
    generator, discriminator = loose_players()
    d_adam, g_adam = adams((0.002, 0.002))

    def step(x):
        fake = generator(tf.random.normal((len(x), 16)))
        with tf.GradientTape(persistent=True) as tape:
            on_real, on_fake = discriminator(x), discriminator(fake)
            d_loss = tf.reduce_mean(tf.nn.softplus(-on_real) + tf.nn.softplus(on_fake))
            g_loss = tf.reduce_mean(tf.nn.softplus(-on_fake))
        players = (d_adam, d_loss, discriminator), (g_adam, g_loss, generator)
        for adam, loss, network in players:
            weights = network.trainable_variables
            pairs = [(g, w) for g, w in zip(tape.gradient(loss, weights), weights) if g is not None]
            if pairs:
                adam.apply_gradients(pairs)

    return case(generator=generator, discriminator=discriminator, step=step)


def bug_4():
    """Listing 4 "mended": noise of the shape (latent_dim,), one draw for the whole batch."""
    def draw(z_mean, z_log_var):
        return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(z_mean.shape[1:])

    keras.utils.set_random_seed(34)
    return plain(6, draw=draw)


def bug_5():
    """The minus before the KL is missing (four steps, before it diverges)."""
    keras.utils.set_random_seed(35)
    return loose(*networks(), kl=lambda m, v: -kl_of(m, v), steps=4)


def bug_6():
    """A loose autoencoder: a sigmoid, and a loss that squashes again (trained)."""
    keras.utils.set_random_seed(36)
    encoder = dense_encoder(784, (64,), 32)
    decoder = dense_decoder(32, (64,), 784, output_activation="sigmoid")

    def loss(x):
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(x, decoder(encoder(x))))

    minimise(loss, encoder, decoder)
    return case(encoder=encoder, decoder=decoder, loss=loss)


def bug_7():
    """Minus the bound, whose reconstruction has the wrong sign (fifteen steps)."""
    keras.utils.set_random_seed(37)
    return loose(*networks(), nats=lambda x, logits: -nats_of(x, logits), steps=15)


def bug_8():
    """NumPy draws z: the reconstruction does not reach the encoder (trained)."""
    def draw(z_mean, z_log_var):
        arguments = [z_mean, tf.exp(0.5 * z_log_var)]
        z = tf.numpy_function(np.random.normal, arguments, tf.float64)
        return tf.ensure_shape(tf.cast(z, tf.float32), z_mean.shape)

    keras.utils.set_random_seed(38)
    return loose(*networks(), draw=draw, steps=80)


def bug_9():
    """beta is a Python number, frozen at 0.5 into a traced loss; the warm-up says 1 (trained)."""
    class VAE(PlainVAE):
        def __init__(self):
            super().__init__()
            self.beta = 0.5

        @tf.function
        def total(self, reconstruction, kl):
            return reconstruction + self.beta * kl

    keras.utils.set_random_seed(39)
    vae = VAE()
    warm_up = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(vae, "beta", min(1.0, 0.5 + 0.1 * epoch)))
    vae.compile(keras.optimizers.Adam(0.003))
    vae.fit(data()[0], epochs=8, batch_size=125, callbacks=[warm_up], verbose=0)
    return case(model=vae)


def bug_10():
    """NumPy draws the noise while a tf.function is traced: the same numbers in every step."""
    @tf.function
    def draw(z_mean, z_log_var):
        noise = tf.constant(np.random.normal(size=(2048, 8)).astype("float32"))
        return z_mean + tf.exp(0.5 * z_log_var) * noise[:tf.shape(z_mean)[0]]

    keras.utils.set_random_seed(40)
    return loose(*networks(), draw=draw, steps=60)


def bug_11():
    """The reconstruction is a mean over pixels, the KL a sum: the codes tell nothing (trained)."""
    keras.utils.set_random_seed(41)
    return loose(*networks(), nats=lambda x, logits: nats_of(x, logits) / 784, steps=100)


def bug_12():
    """The KL is a mean over images and latent variables (trained)."""
    def kl(z_mean, z_log_var):
        terms = 1 + z_log_var - z_mean**2 - tf.exp(z_log_var)
        return -0.5 * tf.reduce_mean(terms)

    keras.utils.set_random_seed(42)
    return loose(*networks(), kl=kl, steps=150)


def bug_13():
    """z is drawn with exp(z_log_var) for its deviation (trained)."""
    def draw(z_mean, z_log_var):
        return z_mean + tf.exp(z_log_var) * tf.random.normal(tf.shape(z_mean))

    keras.utils.set_random_seed(43)
    return loose(*networks(), draw=draw, steps=100)


def bug_14():
    """The generator's loss moves the weights of both networks, a Sequential (trained)."""
    keras.utils.set_random_seed(44)
    generator, discriminator = loose_players()
    gan = keras.Sequential([generator, discriminator])
    players = [*zip(adams((0.002, 0.002)), (discriminator, gan))]
    for adam, network in players:
        adam.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(x):
        with tf.GradientTape(persistent=True) as tape:
            on_real, on_fake = discriminator(x), gan(tf.random.normal((tf.shape(x)[0], 16)))
            d_loss = tf.reduce_mean(tf.nn.softplus(-on_real) + tf.nn.softplus(on_fake))
            g_loss = tf.reduce_mean(tf.nn.softplus(-on_fake))
        for loss, (adam, network) in zip((d_loss, g_loss), players):
            weights = network.trainable_variables
            adam.apply_gradients(zip(tape.gradient(loss, weights), weights))

    for i in range(100):
        step(tf.constant(data()[0][i % 8 * 125:][:125]))
    return case(generator=generator, discriminator=discriminator, step=step)


# Faulty: the failure gallery


def gallery_1():
    """A decoder of six hidden layers at a high rate: the posterior collapses (trained)."""
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(*networks(latent_dim=10, decoder_hidden=6 * (64,)), seed=0)
    return case(model=train(vae, 25, 0.02))


class PixelMean(keras_vae.VAE):
    """The gallery's VAE with a mean over pixels."""

    def negative_log_likelihood(self, x, output):
        return keras.losses.binary_crossentropy(x, output, from_logits=True)


class LatentMean(keras_vae.VAE):
    """The gallery's VAE with a KL that is a mean over latent variables."""

    def compute_losses(self, x, training=False):
        _, nats, _ = super().compute_losses(x, training)
        z_mean, z_log_var = self.encoder(x, training=training)
        kl = -0.5 * (1 + z_log_var - z_mean**2 - tf.exp(z_log_var))
        kl_loss = tf.reduce_mean(kl, axis=1)
        return nats + kl_loss, nats, kl_loss


def gallery_2_pixels():
    """A subclass of the package's VAE takes Keras's mean over pixels (half trained)."""
    keras.utils.set_random_seed(51)
    return case(model=train(PixelMean(*networks(), seed=0), 8, 0.005))


def gallery_2_latents():
    """A subclass of the package's VAE takes a mean over latent variables (trained)."""
    keras.utils.set_random_seed(52)
    return case(model=train(LatentMean(*networks(), seed=0), 20, 0.005))


def gallery_3():
    """A linear output is σ, 1 at first and negative after some epochs: then all is NaN."""
    keras.utils.set_random_seed(0)
    encoder, decoder = networks(latent_dim=10)
    head = encoder.get_layer("z_log_var")
    head.set_weights([0 * head.kernel, head.bias + 1])
    z_mean, sigma = encoder.outputs
    encoder = keras.Model(encoder.input, [z_mean, 2 * ops.log(sigma)])
    return case(model=train(keras_vae.VAE(encoder, decoder, seed=0), 25, 0.005))


def gallery_4():
    """A functional autoencoder compiled with a cross-entropy, images of 0 to 255 (trained)."""
    keras.utils.set_random_seed(54)
    model, x = plain_autoencoder(), bytes_of(data()[0])
    return case(bytes_of, model=train(model, 8, x=x, y=x, loss="binary_crossentropy"))


def gallery_5():
    """The generator learns at a hundredth of the discriminator's rate: D wins (trained)."""
    keras.utils.set_random_seed(0)
    return case(model=package_gan(30, 0.00002, 0.002))


def gallery_6():
    """The discriminator learns at a fiftieth of the generator's rate: one picture (trained)."""
    keras.utils.set_random_seed(0)
    return case(model=package_gan(40, 0.005, 0.0001))


def gallery_7():
    """The package's VAE with beta = 0.001: codes far from the prior (trained)."""
    keras.utils.set_random_seed(57)
    vae = keras_vae.VAE(*networks(latent_dim=10), beta=0.001, seed=0)
    return case(model=train(vae, 40, 0.005))


def gallery_8():
    """The package's VAE trained on 50 images by heart (trained)."""
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(*networks(latent_dim=10), seed=0)
    train(vae, 40, 0.005, x=np.tile(data()[0][:50], (20, 1)))  # 50 images, 8 steps an epoch
    return case(num=50, model=vae)


# Faulty: circulating code, and slips of the same kind


def c_1():
    """The book's notebook with 20 latent variables: a KL that is a mean over them (trained)."""
    class VAE(KerasIoVAE):
        def losses_of(self, data, reconstruction, z_mean, z_log_var):
            loss = ops.mean(summed_bce(data, reconstruction))
            kl_loss = -0.5 * (1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var))
            return loss, ops.mean(kl_loss)

    keras.utils.set_random_seed(61)
    return case(model=train(VAE(*three_outputs(latent_dim=20)), 15))


def blog_sampling(epsilon_std):
    """Return the Keras blog's first draw of z, whose head is log σ."""
    def draw(z_mean, z_log_sigma):
        epsilon = epsilon_std * tf.random.normal(tf.shape(z_mean))
        return z_mean + tf.exp(z_log_sigma) * epsilon

    return draw


def c_2():
    """The Keras blog's first text: two means, log σ and log σ² from one head, noise of 0.01."""
    def kl(z_mean, z_log_sigma):
        terms = 1 + z_log_sigma - tf.square(z_mean) - tf.exp(z_log_sigma)
        return -0.5 * tf.reduce_mean(terms, axis=-1)

    keras.utils.set_random_seed(62)
    nats = keras.losses.binary_crossentropy
    return loose(*networks(latent_dim=2, end="sigmoid"), blog_sampling(0.01), kl, nats, steps=60)


def c_2_mended_in_part():
    """July 2016: the head and the noise mended, the cross-entropy still a mean (trained)."""
    class VAE(KerasIoVAE):
        def losses_of(self, data, reconstruction, z_mean, z_log_var):
            loss = ops.mean(keras.losses.binary_crossentropy(data, reconstruction))
            return loss, ops.mean(kl_of(z_mean, z_log_var))

    keras.utils.set_random_seed(63)
    return case(model=train(VAE(*three_outputs(latent_dim=2)), 10))


def c_2_head():
    """The blog's head alone: log σ where z is drawn, log σ² in the KL (fresh)."""
    keras.utils.set_random_seed(64)
    return plain(draw=blog_sampling(1.0))


def c_2_kl():
    """The blog's head the other way: the KL takes log σ² for log σ (half trained)."""
    keras.utils.set_random_seed(65)
    return plain(5, kl=lambda z_mean, head: kl_of(z_mean, 2 * head))


def c_3():
    """keras-molecules: noise times 0.01, and a KL that is a mean over latent variables."""
    def draw(z_mean, z_log_var):
        epsilon = tf.random.normal(tf.shape(z_mean), stddev=0.01)
        return z_mean + tf.exp(z_log_var / 2) * epsilon

    def kl(z_mean, z_log_var):
        terms = 1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var)
        return -0.5 * tf.reduce_mean(terms, axis=-1)

    keras.utils.set_random_seed(66)
    return plain(8, draw=draw, kl=kl)


def c_9():
    """PyTorch-VAE: a mean squared error beside 0.00025 KL in training, 1 KL in validation."""
    class VAE(PlainVAE):
        def nats(self, x, output):
            return keras.losses.mean_squared_error(x, tf.sigmoid(output))

        def total(self, reconstruction, kl):
            return reconstruction + 0.00025 * kl

        def test_step(self, x):
            z_mean, z_log_var = self.encoder(x)
            output = self.decoder(sample(z_mean, z_log_var))
            loss = self.nats(x, output) + self.kl(z_mean, z_log_var)
            self.total_tracker.update_state(tf.reduce_mean(loss))
            return {"loss": self.total_tracker.result()}

    keras.utils.set_random_seed(67)
    return case(model=train(VAE(), 10))


def keras_gan():
    """Keras-GAN's gan.py under Keras 3: frozen after compile, the discriminator stands still."""
    keras.utils.set_random_seed(68)
    generator = dense_generator(16, (64,), 784)
    stack = [keras.Input((784,)), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")]
    discriminator = keras.Sequential(stack)
    d_adam, g_adam = adams((0.002, 0.002))
    discriminator.compile(d_adam, "binary_crossentropy")
    discriminator.trainable = False
    combined = keras.Sequential([generator, discriminator])
    combined.compile(g_adam, "binary_crossentropy")

    def step(x):
        num = len(x)
        fake = generator(np.random.normal(size=(num, 16)).astype("float32"))
        discriminator.train_on_batch(x, np.ones((num, 1)))
        discriminator.train_on_batch(fake, np.zeros((num, 1)))
        noise = np.random.normal(size=(num, 16)).astype("float32")
        combined.train_on_batch(noise, np.ones((num, 1)))

    return case(generator=generator, discriminator=discriminator, step=step)


def frozen_seed():
    """keras.random.normal with an integer for its seed: the same noise in every step."""
    class FrozenSampling(layers.Layer):
        def call(self, inputs):
            z_mean, z_log_var = inputs
            epsilon = keras.random.normal(ops.shape(z_mean), seed=42)
            return z_mean + ops.exp(0.5 * z_log_var) * epsilon

    keras.utils.set_random_seed(71)
    return case(model=train(KerasIoVAE(*three_outputs(FrozenSampling())), 6))


def lost_add_loss():
    """A layer adds the KL, and a train_step of its own never adds up self.losses (trained)."""
    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            encoder, self.decoder = networks(end="sigmoid")
            z = SamplingWithKL()(encoder.outputs)
            self.encoder = keras.Model(encoder.input, [*encoder.outputs, z])
            self.loss_tracker = keras.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.loss_tracker]

        def train_step(self, x):
            with tf.GradientTape() as tape:
                z = self.encoder(x)[2]
                loss = tf.reduce_mean(summed_bce(x, self.decoder(z)))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            self.loss_tracker.update_state(loss)
            return {"loss": self.loss_tracker.result()}

    keras.utils.set_random_seed(72)
    return case(model=train(VAE(), 10))


def relu_log_var():
    """The log-variance goes through a ReLU: no σ below 1 (half trained)."""
    keras.utils.set_random_seed(73)
    encoder, decoder = heads(log_var="relu"), networks()[1]
    return case(model=train(keras_vae.VAE(encoder, decoder, seed=0), 6))


def frozen_encoder():
    """The encoder is left frozen while the decoder trains (half trained)."""
    keras.utils.set_random_seed(74)
    vae = keras_vae.VAE(*networks(), seed=0)
    vae.encoder.trainable = False
    return case(model=train(vae, 6))


def scaled_twice():
    """Images divided by 255 a second time: none is above 0.004 (half trained)."""
    keras.utils.set_random_seed(75)
    x = data()[0] / 255
    model = train(keras_vae.VAE(*networks(), seed=0), 6, x=x)
    return case(lambda images: images / 255, model=model)


def dead_relus():
    """An autoencoder whose rate was 1 in the first steps: its hidden units are dead (trained)."""
    keras.utils.set_random_seed(76)
    model, x = plain_autoencoder(), data()[0]
    train(model, 2, 1.0, y=x, loss="binary_crossentropy")
    return case(model=train(model, 10, y=x, loss="binary_crossentropy"))


FAULTY = {
    "one ReLU head, no variance": (a0_2, "not two heads", "A0-2"),
    "beta in the class, mse alone in the loss": (a0_7, "KL missing", "A0-7"),
    "KL as a mean over the prior": (a0_10, "KL between the wrong distributions", "A0-10"),
    "ReLU mean, package": (a1_3, "mean cannot be negative", "A1-3"),
    "log of a linear output": (a1_4, "weights not finite", "A1-4"),
    "KL(p, q) for KL(q, p)": (a1_8, "KL between the wrong distributions", "A1-8"),
    "A1's class without a KL": (a1_11, "KL missing", "A1-11"),
    "stop_gradient on z": (a1_15, "reconstruction does not reach the encoder", "A1-15"),
    "Huber loss, a mean, beside a KL": (
        a1_17, "reconstruction is a mean over features", "A1-17"),
    "LayerNormalization in place of a draw": (a2_1, "noise missing", "A2-1"),
    "sigmoid, and pixels taken for logits": (a2_3, "sigmoid too many", "A2-3"),
    "minus the printed bound": (a2_5, "reconstruction of the wrong sign", "A2-5"),
    "64 latent variables, most unused": (a2_7, "unused latent variables", "A2-7"),
    "cross-entropy of the output alone": (a2_9, "KL missing", "A2-9"),
    "sigmoid for standardised data": (a3_2, "data out of range", "A3-2"),
    "two layers of the decoder dropped": (a3_5, "some weights do not learn", "A3-5"),
    "variational by name only": (a3_6, "not two heads", "A3-6"),
    "sigmoid mean": (a3_11, "mean cannot be negative", "A3-11"),
    "tested on training images": (a3_15, "validation images among training images", "A3-15"),
    "tanh with a cross-entropy": (a3_20, "sigmoid missing", "A3-20"),
    "linear end with a cross-entropy": (a3_20_linear, "sigmoid missing", "A3-20"),
    "means of sigmoids as GAN losses": (a4_3, "discriminator has won", "A4-3"),
    "D goes up its loss": (a4_10, "a player learns the wrong way", "A4-10"),
    "bytes, loose autoencoder": (bug_1, "data out of range", "bug 1"),
    "ReLU mean, loose": (bug_2, "mean cannot be negative", "bug 2"),
    "fakes made before the tape": (bug_3, "generator does not learn", "bug 3"),
    "noise of the shape (latent_dim,)": (bug_4, "noise the same for the whole batch", "bug 4"),
    "KL without its minus": (bug_5, "KL of the wrong sign", "bug 5"),
    "two sigmoids, autoencoder": (bug_6, "sigmoid too many", "bug 6"),
    "minus the reconstruction": (bug_7, "reconstruction of the wrong sign", "bug 7"),
    "NumPy draws z": (bug_8, "reconstruction does not reach the encoder", "bug 8"),
    "beta frozen into the trace": (bug_9, "beta has no effect", "bug 9"),
    "NumPy noise frozen into the trace": (bug_10, "noise frozen", "bug 10"),
    "mean over pixels, loose": (bug_11, "reconstruction is a mean over features", "bug 11"),
    "mean over latents, loose": (bug_12, "KL is a mean over latent variables", "bug 12"),
    "exp(z_log_var) as deviation": (
        bug_13, "draws take the head for something else", "bug 13"),
    "G's loss moves D too": (bug_14, "both players moved by one loss", "bug 14"),
    "posterior collapse, deep decoder": (gallery_1, "posterior collapse", "gallery 1"),
    "mean over pixels, package": (
        gallery_2_pixels, "reconstruction is a mean over features", "gallery 2"),
    "mean over latents, package": (
        gallery_2_latents, "KL is a mean over latent variables", "gallery 2"),
    "σ without bounds, NaN later": (gallery_3, "weights not finite", "gallery 3"),
    "bytes, functional autoencoder": (gallery_4, "data out of range", "gallery 4"),
    "discriminator wins": (gallery_5, "discriminator has won", "gallery 5"),
    "one picture": (gallery_6, "mode collapse", "gallery 6"),
    "beta = 0.001, holes": (gallery_7, "beta far from 1", "gallery 7"),
    "50 images by heart": (gallery_8, "overfitting", "gallery 8"),
    "mean over 20 latents, the book": (c_1, "KL is a mean over latent variables", "C-1"),
    "the blog's three slips": (c_2, "draws take the head for something else", "C-2"),
    "the blog, mended in part": (
        c_2_mended_in_part, "reconstruction is a mean over features", "C-2"),
    "log σ drawn, log σ² in the KL": (
        c_2_head, "draws take the head for something else", "C-2"),
    "log σ² drawn, log σ in the KL": (c_2_kl, "KL takes the head for something else", "C-2"),
    "noise of 0.01, molecules": (c_3, "noise of another scale", "C-3"),
    "mse mean, two weights of the KL": (c_9, "reconstruction is a mean over features", "C-9"),
    "D frozen before it trains": (keras_gan, "discriminator does not learn", "C, looked at"),
    "integer seed of the noise": (frozen_seed, "noise frozen", "like bug 10"),
    "KL added and never used": (lost_add_loss, "KL missing", "like A1-11"),
    "ReLU log-variance": (relu_log_var, "log-variance is bounded", "like A1-3"),
    "encoder left frozen": (frozen_encoder, "encoder does not learn", "like Keras-GAN"),
    "divided by 255 twice": (scaled_twice, "data on another scale", "like gallery 4"),
    "rate of 1, dead ReLUs": (dead_relus, "dead units", "vocabulary"),
}


# Sound


def sound_autoencoder():
    """Chapters 1 and 2: the package's autoencoder with a cross-entropy (trained)."""
    keras.utils.set_random_seed(101)
    encoder = dense_encoder(784, (64,), 8)
    model = keras_vae.Autoencoder(encoder, dense_decoder(8, (64,), 784, "sigmoid"))
    return case(model=train(model, 50, 0.005, loss="binary_crossentropy"))


def sound_plain_autoencoder():
    """A functional autoencoder compiled with mse, linear at its end (half trained)."""
    keras.utils.set_random_seed(102)
    return case(model=train(plain_autoencoder(None), 5, y=data()[0], loss="mse"))


def sound_vae_fresh():
    """Chapter 4: the package's VAE, compiled and never trained."""
    keras.utils.set_random_seed(103)
    vae = keras_vae.VAE(*networks(), seed=0)
    vae.compile("adam")
    return case(model=vae)


def sound_vae():
    """Chapter 4: the package's VAE (trained)."""
    keras.utils.set_random_seed(104)
    return case(model=train(keras_vae.VAE(*networks(), seed=0), 40, 0.005))


def sound_deep_vae():
    """Chapter 5: three hidden layers in each network (half trained)."""
    keras.utils.set_random_seed(105)
    vae = keras_vae.VAE(*networks((128, 64, 32), 8), seed=0)
    return case(model=train(vae, 30, 0.005))


def sound_beta_half():
    """The package's VAE with beta = 0.5 (trained)."""
    keras.utils.set_random_seed(106)
    return case(model=train(keras_vae.VAE(*networks(), beta=0.5, seed=0), 40, 0.005))


def sound_conv_vae():
    """Chapter 12: convolutional networks (half trained)."""
    keras.utils.set_random_seed(107)
    encoder = keras_vae.conv_encoder((28, 28), (4, 8), 8)
    decoder = keras_vae.conv_decoder(8, (8, 4), (28, 28))
    return case(model=train(keras_vae.VAE(encoder, decoder, seed=0), 20, 0.01))


def sound_gaussian():
    """A Gaussian likelihood with learned variances, on images with noise (trained)."""
    keras.utils.set_random_seed(108)
    x, _, x_test, _ = data()
    rng = np.random.default_rng(0)
    x, x_test = ((a + rng.normal(0, 0.1, a.shape)).astype("float32") for a in (x, x_test))
    vae = keras_vae.VAE(*networks(), likelihood="gaussian", learn_variance=True, seed=0)
    return {"model": train(vae, 60, 0.005, x=x), "x": x, "x_test": x_test}


def sound_iwae():
    """Chapter 13: five draws an image (trained)."""
    keras.utils.set_random_seed(109)
    return case(model=train(keras_vae.IWAE(*networks(), seed=0), 32, 0.006))


def sound_conditional():
    """Chapter 16: a conditional VAE, its labels joined to x (trained)."""
    keras.utils.set_random_seed(110)
    x, y, x_test, y_test = data()
    encoder, decoder = gaussian_encoder(794, (64,), 8), dense_decoder(18, (64,), 784)
    vae = keras_vae.ConditionalVAE(encoder, decoder, seed=0)
    xy, xy_test = vae.join(x, y).numpy(), vae.join(x_test, y_test).numpy()
    return {"model": train(vae, 40, 0.005, x=xy), "x": xy, "x_test": xy_test}


def with_layers(extra):
    """Return networks with a further layer behind each hidden one."""
    pixels, z = keras.Input((784,)), keras.Input((8,))
    hidden = extra()(layers.Dense(64, "relu")(pixels))
    encoder = keras.Model(pixels, [layers.Dense(8)(hidden), layers.Dense(8)(hidden)])
    return encoder, keras.Model(z, layers.Dense(784)(extra()(layers.Dense(64, "relu")(z))))


def sound_batch_norm():
    """Batch normalisation in both networks of the package's VAE (trained)."""
    keras.utils.set_random_seed(111)
    vae = keras_vae.VAE(*with_layers(layers.BatchNormalization), seed=0)
    return case(model=train(vae, 40, 0.005))


def sound_dropout():
    """Dropout in both networks of a class with its own train_step (half trained)."""
    keras.utils.set_random_seed(112)
    return plain(50, *with_layers(lambda: layers.Dropout(0.1)))


def sound_tiny():
    """Loose networks 784–16–2–16–784, as for a picture of the latent plane (trained)."""
    keras.utils.set_random_seed(113)
    return loose(*networks((16,), 2), steps=500)


def sound_wide():
    """The package's VAE with 512 hidden units (half trained)."""
    keras.utils.set_random_seed(114)
    return case(model=train(keras_vae.VAE(*networks((512,), 8), seed=0), 6, 0.002))


def sound_plain_vae():
    """A class with its own train_step and trackers (fresh)."""
    keras.utils.set_random_seed(115)
    return plain()


def sound_keras_io():
    """The keras.io example, dense: three outputs, a sigmoid, a cross-entropy (trained)."""
    keras.utils.set_random_seed(116)
    return case(model=train(KerasIoVAE(*three_outputs()), 40, 0.005))


def sound_add_loss():
    """A functional model: a layer adds the KL, a compiled loss sums over pixels (trained)."""
    keras.utils.set_random_seed(117)
    encoder, decoder = networks(end="sigmoid")
    model = functional(encoder, decoder, SamplingWithKL()(encoder.outputs))
    return case(model=train(model, 40, 0.005, y=data()[0], loss=summed_bce))


def sound_loose():
    """find_the_bug's sound model: loose networks and a loss (trained)."""
    keras.utils.set_random_seed(118)
    return loose(*networks(), steps=400)


def sound_loose_fresh():
    """Loose networks with a squared error of variance 1 and a KL (fresh)."""
    keras.utils.set_random_seed(119)
    return loose(*networks(), nats=lambda x, m: 0.5 * tf.reduce_sum((x - m) ** 2, axis=1))


def sound_gan():
    """Chapter 8: the package's GAN at equal rates (trained)."""
    keras.utils.set_random_seed(0)
    return case(model=package_gan(80, 0.002, 0.002))


def sound_gan_fresh():
    """Chapter 8: the package's GAN, never trained."""
    keras.utils.set_random_seed(121)
    gan = keras_vae.GAN(*loose_players(), seed=0)
    gan.compile()
    return case(model=gan)


def sound_keras_io_gan():
    """The keras.io GAN, dense: fakes are 1, real images 0, logits (trained)."""
    keras.utils.set_random_seed(122)
    return case(model=train_gan(PlainGAN(), 60, 0.0005, 0.002))


def sound_keras_io_gan_fresh():
    """The keras.io GAN, dense, compiled and never trained."""
    keras.utils.set_random_seed(124)
    return case(model=train_gan(PlainGAN(), 0))


def sound_loose_gan():
    """A loose generator and discriminator with a loss of both players (fresh)."""
    keras.utils.set_random_seed(123)
    generator, discriminator = loose_players()

    def loss(x):
        on_real = discriminator(x)
        on_fake = discriminator(generator(tf.random.normal((tf.shape(x)[0], 16))))
        d_loss = tf.reduce_mean(tf.nn.softplus(-on_real) + tf.nn.softplus(on_fake))
        return d_loss, tf.reduce_mean(tf.nn.softplus(-on_fake))

    return case(generator=generator, discriminator=discriminator, loss=loss)


SOUND = {
    "dense autoencoder, trained": sound_autoencoder,
    "functional autoencoder, mse, half trained": sound_plain_autoencoder,
    "VAE, fresh": sound_vae_fresh,
    "VAE, trained": sound_vae,
    "deeper VAE, half trained": sound_deep_vae,
    "VAE, beta 0.5": sound_beta_half,
    "convolutional VAE, half trained": sound_conv_vae,
    "Gaussian likelihood, learned variances": sound_gaussian,
    "IWAE": sound_iwae,
    "conditional VAE": sound_conditional,
    "batch normalisation": sound_batch_norm,
    "dropout, own train_step, half trained": sound_dropout,
    "tiny, two latent variables, loose": sound_tiny,
    "wide, half trained": sound_wide,
    "own train_step, fresh": sound_plain_vae,
    "keras.io VAE, trained": sound_keras_io,
    "functional with add_loss, trained": sound_add_loss,
    "loose networks, trained": sound_loose,
    "loose networks, squared error, fresh": sound_loose_fresh,
    "GAN, trained": sound_gan,
    "GAN, fresh": sound_gan_fresh,
    "keras.io GAN, trained": sound_keras_io_gan,
    "keras.io GAN, fresh": sound_keras_io_gan_fresh,
    "loose GAN, fresh": sound_loose_gan,
}
