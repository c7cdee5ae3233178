"""Blind bench C for keras_vae.diagnose: 30 models with one fault each, and 14 sound ones."""

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from keras import layers, ops

import keras_vae

NUM = 1000
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


# ---------------------------------------------------------------- data

def digits(num=NUM):
    """Flat digits in [0, 1]: training and test images."""
    _, (x, _), (x_test, _) = keras_vae.load_images("digits")
    return x[:num], x_test


def images(num=NUM):
    """Digits as (num, 28, 28, 1) in [0, 1]: training and test images."""
    return tuple(part.reshape(-1, 28, 28, 1) for part in digits(num))


def table(load=sklearn.datasets.load_breast_cancer, standardise=True):
    """A table of numbers in random order: training and test rows."""
    x = load().data
    x = x[np.random.default_rng(0).permutation(len(x))]
    cut = int(0.8 * len(x))
    if standardise:
        x = (x - x[:cut].mean(0)) / x[:cut].std(0)
    x = x.astype("float32")
    return x[:cut], x[cut:]


def batches_of(x, size, epochs, seed=0):
    """Shuffled batches of an array, epoch after epoch."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for i in range(0, len(x) - size + 1, size):
            yield tf.constant(x[order[i:i + size]])


def pixels():
    """The 8×8 digits as a standardised table of the 61 columns that vary."""
    x, x_test = table(sklearn.datasets.load_digits, standardise=False)
    varies = (x.std(0) > 0.05) & (x_test.std(0) > 0.05)
    x, x_test = x[:, varies], x_test[:, varies]
    return (x - x.mean(0)) / x.std(0), (x_test - x.mean(0)) / x.std(0)


# ---------------------------------------------------------------- networks

class Sampling(layers.Layer):
    """keras.io's layer: z = mean + exp(log-variance / 2) * noise."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def noise(self, z_mean):
        batch, dim = ops.shape(z_mean)[0], ops.shape(z_mean)[1]
        return keras.random.normal((batch, dim), seed=self.seed_generator)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        return z_mean + ops.exp(0.5 * z_log_var) * self.noise(z_mean)


def conv_encoder(latent=2, sampling=Sampling, mean=None, log_var=None):
    """keras.io's convolutional encoder, with z as a third output unless sampling is None."""
    inputs = keras.Input((28, 28, 1))
    h = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    h = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(h)
    h = layers.Flatten()(h)
    h = layers.Dense(32, activation="relu")(h)
    z_mean = layers.Dense(latent, activation=mean, name="z_mean")(h)
    z_log_var = layers.Dense(latent, activation=log_var, name="z_log_var")(h)
    outputs = [z_mean, z_log_var]
    if sampling is not None:
        outputs.append(sampling()(outputs))
    return keras.Model(inputs, outputs, name="encoder")


def conv_decoder(latent=2, activation="sigmoid"):
    """keras.io's convolutional decoder."""
    return keras.Sequential([
        keras.Input((latent,)),
        layers.Dense(7 * 7 * 16, activation="relu"),
        layers.Reshape((7, 7, 16)),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(1, 3, padding="same", activation=activation),
    ], name="decoder")


def dense_encoder(dim=784, latent=4, units=128, mean=None, log_var=None, activation="relu"):
    """Dense encoder with two heads."""
    inputs = keras.Input((dim,))
    h = layers.Dense(units, activation=activation)(inputs)
    z_mean = layers.Dense(latent, activation=mean)(h)
    z_log_var = layers.Dense(latent, activation=log_var)(h)
    return keras.Model(inputs, [z_mean, z_log_var])


def dense_decoder(dim=784, latent=4, units=128, activation=None, hidden="relu"):
    """Dense decoder."""
    return keras.Sequential([
        keras.Input((latent,)),
        layers.Dense(units, activation=hidden),
        layers.Dense(dim, activation=activation),
    ])


def critic(activation=None, dropout=0.3):
    """The DCGAN tutorials' discriminator, in small."""
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 5, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Dropout(dropout),
        layers.Conv2D(32, 5, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Dropout(dropout),
        layers.Flatten(),
        layers.Dense(1, activation=activation),
    ], name="discriminator")


def painter(activation="tanh", noise_dim=32, norm=True):
    """The DCGAN tutorials' generator, in small."""
    stack = [keras.Input((noise_dim,)), layers.Dense(7 * 7 * 32, use_bias=not norm)]
    stack += [layers.BatchNormalization()] if norm else []
    stack += [layers.LeakyReLU(), layers.Reshape((7, 7, 32))]
    stack += [layers.Conv2DTranspose(16, 5, strides=2, padding="same", use_bias=not norm)]
    stack += [layers.BatchNormalization()] if norm else []
    stack += [layers.LeakyReLU()]
    stack += [layers.Conv2DTranspose(1, 5, strides=2, padding="same", activation=activation)]
    return keras.Sequential(stack, name="generator")


# ---------------------------------------------------------------- styles of VAEs

class IoVAE(keras.Model):
    """keras.io's VAE: an encoder with three outputs, a decoder with a sigmoid, own train_step."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker]

    def reconstruction(self, data, output):
        losses = keras.losses.binary_crossentropy(data, output)
        return ops.mean(ops.sum(losses, axis=(1, 2)))

    def kl(self, z_mean, z_log_var):
        kl = -0.5 * (1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var))
        return ops.mean(ops.sum(kl, axis=1))

    def train_step(self, data):
        data = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data)
            loss = self.reconstruction(data, self.decoder(z)) + self.kl(z_mean, z_log_var)
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
        self.total_loss_tracker.update_state(loss)
        return {"loss": self.total_loss_tracker.result()}


class TwoHeadVAE(keras.Model):
    """A colleague's VAE: flat vectors, two heads, a train_step and a test_step."""

    gaussian = False

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def sample(self, mu, log_var):
        return mu + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mu))

    def nll(self, x, output):
        if self.gaussian:
            nats = 0.5 * (tf.square(x - output) + np.log(2 * np.pi))
        else:
            nats = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=output)
        return tf.reduce_sum(nats, axis=1)

    def kl(self, mu, log_var):
        kl = 0.5 * (tf.exp(log_var) + tf.square(mu) - 1.0 - log_var)
        return tf.reduce_sum(kl, axis=1)

    def total(self, nll, kl):
        return tf.reduce_mean(nll + kl)

    def loss_of(self, x, training):
        mu, log_var = self.encoder(x, training=training)
        z = self.sample(mu, log_var)
        output = self.decoder(z, training=training)
        return self.total(self.nll(x, output), self.kl(mu, log_var))

    def call(self, x, training=False):
        return self.decoder(self.encoder(x, training=training)[0], training=training)

    def train_step(self, data):
        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        with tf.GradientTape() as tape:
            loss = self.loss_of(x, True)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def test_step(self, data):
        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        self.loss_tracker.update_state(self.loss_of(x, False))
        return {"loss": self.loss_tracker.result()}


class GaussianVAE(TwoHeadVAE):
    """The same for standardised tables, with a Gaussian likelihood of variance 1."""

    gaussian = True


class KLLayer(layers.Layer):
    """Adds the KL divergence to the model's losses, and passes z on."""

    sign = 1.0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        kl = -0.5 * ops.sum(1 + z_log_var - z_mean**2 - ops.exp(z_log_var), axis=-1)
        self.add_loss(self.sign * ops.mean(kl))
        noise = keras.random.normal(ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * noise


def functional(encoder, decoder, loss, layer=KLLayer):
    """A functional VAE: the KL by add_loss, the reconstruction by compile."""
    inputs = keras.Input(encoder.input_shape[1:])
    vae = keras.Model(inputs, decoder(layer()(encoder(inputs))))
    vae.encoder, vae.decoder = encoder, decoder
    vae.compile(optimizer=keras.optimizers.Adam(2e-3), loss=loss)
    return vae


def summed_bce(x, output):
    """Cross-entropy of probabilities, a sum over the pixels."""
    return 784.0 * ops.mean(keras.losses.binary_crossentropy(x, output), axis=None)


def log_normal_pdf(sample, mean, logvar):
    """TensorFlow's CVAE tutorial: the log density of a normal, summed over axis 1."""
    log2pi = tf.math.log(2.0 * np.pi)
    nats = -0.5 * ((sample - mean) ** 2.0 * tf.exp(-logvar) + logvar + log2pi)
    return tf.reduce_sum(nats, axis=1)


def heads_of(encoder, x):
    """Mean and log-variance of an encoder with two heads, or with one that is cut in two."""
    out = encoder(x)
    if isinstance(out, (list, tuple)):
        return out[0], out[1]
    return tf.split(out, num_or_size_splits=2, axis=1)


def cvae_loss(encoder, decoder, q_log_var=lambda v: v, likelihood_sign=-1.0,
              deviation=lambda v: tf.exp(0.5 * v)):
    """The tutorial's compute_loss: −E[log p(x | z) + log p(z) − log q(z | x)], by one draw."""
    def compute_loss(x):
        mean, logvar = heads_of(encoder, x)
        z = mean + deviation(logvar) * tf.random.normal(tf.shape(mean))
        x_logit = decoder(z)
        cross_ent = tf.nn.sigmoid_cross_entropy_with_logits(logits=x_logit, labels=x)
        logpx_z = likelihood_sign * tf.reduce_sum(cross_ent, axis=[1, 2, 3])
        logpz = log_normal_pdf(z, 0.0, 0.0)
        logqz_x = log_normal_pdf(z, mean, q_log_var(logvar))
        return -tf.reduce_mean(logpx_z + logpz - logqz_x)
    return compute_loss


def train_loose(loss, networks, x, epochs, rate=2e-3, size=100):
    """Train loose networks by a loss, as the tutorials' loops do."""
    weights = [w for network in networks for w in network.trainable_variables]
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(weights)

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            value = loss(batch)
        optimizer.apply_gradients(zip(tape.gradient(value, weights), weights))
        return value

    for batch in batches_of(x, size, epochs):
        step(batch)
    return step


# ---------------------------------------------------------------- styles of GANs

class IoGAN(keras.Model):
    """keras.io's DCGAN: fakes are labelled 1, real images 0; the discriminator has a sigmoid."""

    def __init__(self, discriminator, generator, latent_dim=32):
        super().__init__()
        self.discriminator, self.generator = discriminator, generator
        self.latent_dim = latent_dim
        self.seed_generator = keras.random.SeedGenerator(1337)

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    def train_step(self, real):
        real = real[0] if isinstance(real, tuple) else real
        num = ops.shape(real)[0]
        noise = keras.random.normal((num, self.latent_dim), seed=self.seed_generator)
        both = ops.concatenate([self.generator(noise), real], axis=0)
        labels = ops.concatenate([ops.ones((num, 1)), ops.zeros((num, 1))], axis=0)
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(both))
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights))
        noise = keras.random.normal((num, self.latent_dim), seed=self.seed_generator)
        with tf.GradientTape() as tape:
            predictions = self.discriminator(self.generator(noise))
            g_loss = self.loss_fn(ops.zeros((num, 1)), predictions)
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights))
        return {"d_loss": d_loss, "g_loss": g_loss}


def gan_losses(generator, discriminator, noise_dim=32, fake_target=1.0, loss=BCE,
               cut=lambda images: images):
    """TensorFlow's DCGAN tutorial as one function: x → (d_loss, g_loss)."""
    def losses(x):
        fake = generator(tf.random.normal((tf.shape(x)[0], noise_dim)), training=True)
        on_real = discriminator(x, training=True)
        on_fake = discriminator(cut(fake), training=True)
        d_loss = loss(tf.ones_like(on_real), on_real) + loss(tf.zeros_like(on_fake), on_fake)
        g_loss = loss(fake_target * tf.ones_like(on_fake), on_fake)
        return d_loss, g_loss
    return losses


def gan_step(losses, generator, discriminator, g_rate=2e-4, d_rate=2e-4):
    """The tutorial's train_step, with its two tapes and two optimizers."""
    g_optimizer = keras.optimizers.Adam(g_rate, beta_1=0.5)
    d_optimizer = keras.optimizers.Adam(d_rate, beta_1=0.5)
    g_optimizer.build(generator.trainable_variables)
    d_optimizer.build(discriminator.trainable_variables)

    @tf.function
    def train_step(x):
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            d_loss, g_loss = losses(x)
        g_weights, d_weights = generator.trainable_variables, discriminator.trainable_variables
        g_optimizer.apply_gradients(zip(g_tape.gradient(g_loss, g_weights), g_weights))
        d_optimizer.apply_gradients(zip(d_tape.gradient(d_loss, d_weights), d_weights))
        return d_loss, g_loss
    return train_step


def dense_gan(seed=0, units=128, noise_dim=16):
    """This package's GAN of dense networks on flat digits."""
    generator = keras_vae.dense_generator(noise_dim, (units, units), 784)
    discriminator = keras_vae.dense_discriminator(784, (units,), "leaky_relu", dropout=0.3)
    return keras_vae.GAN(generator, discriminator, seed=seed)


# ---------------------------------------------------------------- faults: data

def nan_in_the_table():
    """A constant column divided by its standard deviation of 0 makes NaN."""
    keras.utils.set_random_seed(1)
    x, x_test = table(sklearn.datasets.load_wine, standardise=False)
    x[:, 4] = x_test[:, 4] = 1.0
    with np.errstate(invalid="ignore"):
        mean, std = x.mean(0), x.std(0)
        x, x_test = (x - mean) / std, (x_test - mean) / std
    model = GaussianVAE(dense_encoder(13, 3, 32), dense_decoder(13, 3, 32))
    model.compile(optimizer="adam")
    return {"model": model, "x": x, "x_test": x_test}


def bytes_not_divided():
    """Images of 0 to 255 go into keras.io's VAE without the division."""
    keras.utils.set_random_seed(2)
    x, x_test = (np.round(255 * part).astype("float32") for part in images())
    model = IoVAE(conv_encoder(), conv_decoder())
    model.compile(optimizer=keras.optimizers.Adam())
    return {"model": model, "x": x, "x_test": x_test}


def raw_table():
    """A table in its own units, up to thousands, where the likelihood has a variance of 1."""
    keras.utils.set_random_seed(3)
    x, x_test = table(standardise=False)
    model = GaussianVAE(dense_encoder(30, 4, 64), dense_decoder(30, 4, 64))
    model.compile(optimizer="adam")
    return {"model": model, "x": x, "x_test": x_test}


def split_after_doubling():
    """The set was doubled, shuffled and only then split: test images are training images too."""
    keras.utils.set_random_seed(4)
    x, _ = digits(700)
    x = np.concatenate([x, x])[np.random.default_rng(4).permutation(1400)]
    x, x_test = x[:1000], x[1000:]
    model = TwoHeadVAE(dense_encoder(), dense_decoder())
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    model.fit(x, epochs=5, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


# ---------------------------------------------------------------- faults: networks

def decoder_without_sigmoid():
    """keras.io's VAE with a linear decoder, and binary_crossentropy of probabilities."""
    keras.utils.set_random_seed(5)
    x, x_test = images()
    model = IoVAE(conv_encoder(), conv_decoder(activation=None))
    model.compile(optimizer=keras.optimizers.Adam())
    return {"model": model, "x": x, "x_test": x_test}


def discriminator_with_sigmoid():
    """TensorFlow's DCGAN: a sigmoid in the discriminator, and from_logits=True in the loss."""
    keras.utils.set_random_seed(6)
    x = 2 * images()[0] - 1
    generator, discriminator = painter("tanh"), critic("sigmoid")
    losses = gan_losses(generator, discriminator)
    return {"generator": generator, "discriminator": discriminator, "loss": losses, "x": x}


def one_layer_for_both_heads():
    """The same Dense layer is called for the mean and for the log-variance."""
    keras.utils.set_random_seed(7)
    x, x_test = digits()
    inputs = keras.Input((784,))
    h = layers.Dense(128, activation="relu")(inputs)
    to_latent = layers.Dense(4)
    encoder = keras.Model(inputs, [to_latent(h), to_latent(h)])
    model = TwoHeadVAE(encoder, dense_decoder())
    model.compile(optimizer="adam")
    model.fit(x, epochs=2, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def softplus_log_variance():
    """A softplus behind the log-variance in a loose CVAE by Monte Carlo."""
    keras.utils.set_random_seed(8)
    x, _ = images()
    encoder = conv_encoder(4, sampling=None, log_var="softplus")
    decoder = conv_decoder(4, None)
    return {"encoder": encoder, "decoder": decoder, "loss": cvae_loss(encoder, decoder), "x": x}


def relu_mean():
    """activation="relu" was copied to the mean's layer too."""
    keras.utils.set_random_seed(9)
    x, x_test = images()
    model = IoVAE(conv_encoder(8, mean="relu"), conv_decoder(8))
    model.compile(optimizer=keras.optimizers.Adam())
    return {"model": model, "x": x, "x_test": x_test}


# ---------------------------------------------------------------- faults: heads

def kl_of_a_log_deviation():
    """The KL is written for the log standard deviation; the draws take a log-variance."""
    keras.utils.set_random_seed(11)
    x, x_test = digits()

    class Model(TwoHeadVAE):
        def kl(self, mu, log_std):
            kl = 0.5 * (tf.exp(2.0 * log_std) + mu**2 - 1.0) - log_std
            return tf.reduce_sum(kl, axis=1)

    model = Model(dense_encoder(), dense_decoder())
    model.compile(optimizer="adam")
    model.fit(x, epochs=1, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def draws_by_exp_log_variance():
    """z = mean + exp(log-variance) * noise, without the half, in the Sampling layer."""
    keras.utils.set_random_seed(12)
    x, x_test = images()

    class NoHalf(Sampling):
        def call(self, inputs):
            z_mean, z_log_var = inputs
            return z_mean + ops.exp(z_log_var) * self.noise(z_mean)

    model = IoVAE(conv_encoder(sampling=NoHalf), conv_decoder())
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    model.fit(x, epochs=3, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


# ---------------------------------------------------------------- faults: noise

def one_noise_for_the_batch():
    """torch.randn(latent_dim) brought over: every example of a batch gets the same noise."""
    keras.utils.set_random_seed(13)
    x, x_test = digits()

    class Model(TwoHeadVAE):
        def sample(self, mu, log_var):
            return mu + tf.exp(0.5 * log_var) * tf.random.normal((mu.shape[1],))

    model = Model(dense_encoder(), dense_decoder())
    model.compile(optimizer="adam")
    return {"model": model, "x": x, "x_test": x_test}


def noise_with_an_integer_seed():
    """keras.random.normal(seed=42): in Keras 3 an integer gives the same noise in every step."""
    keras.utils.set_random_seed(14)
    x, x_test = images()

    class Frozen(Sampling):
        def noise(self, z_mean):
            return keras.random.normal(ops.shape(z_mean), seed=42)

    model = IoVAE(conv_encoder(4, sampling=Frozen), conv_decoder(4))
    model.compile(optimizer=keras.optimizers.Adam())
    return {"model": model, "x": x, "x_test": x_test}


def epsilon_std_of_a_hundredth():
    """epsilon_std = 0.01 from an old blog, in a loose Gaussian VAE on a table."""
    keras.utils.set_random_seed(15)
    x, x_test = table()
    encoder, decoder = dense_encoder(30, 4, 64), dense_decoder(30, 4, 64)

    def loss(batch, epsilon_std=0.01):
        mu, log_var = encoder(batch)
        z = mu + tf.exp(log_var / 2) * tf.random.normal(tf.shape(mu), stddev=epsilon_std)
        nll = 0.5 * tf.reduce_sum((batch - decoder(z)) ** 2 + np.log(2 * np.pi), axis=1)
        kl = -0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var), axis=1)
        return tf.reduce_mean(nll + kl)

    return {"encoder": encoder, "decoder": decoder, "loss": loss, "x": x, "x_test": x_test}


def one_noise_for_the_latents():
    """tf.random.normal((batch, 1)): all latent variables of an example share one number."""
    keras.utils.set_random_seed(16)
    x, x_test = digits()

    class Model(TwoHeadVAE):
        def sample(self, mu, log_var):
            return mu + tf.exp(0.5 * log_var) * tf.random.normal((tf.shape(mu)[0], 1))

    model = Model(dense_encoder(latent=8), dense_decoder(latent=8))
    model.compile(optimizer="adam")
    model.fit(x, epochs=2, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


# ---------------------------------------------------------------- faults: loss

def keras_loss_is_a_mean():
    """compile(loss="binary_crossentropy") is a mean over the pixels; the KL is a sum."""
    keras.utils.set_random_seed(17)
    x, x_test = digits()
    model = functional(dense_encoder(), dense_decoder(activation="sigmoid"),
                       "binary_crossentropy")
    return {"model": model, "x": x, "x_test": x_test}


def kl_by_reduce_mean():
    """tf.reduce_mean over all of the KL: over the sixteen latent variables as well."""
    keras.utils.set_random_seed(18)
    x, x_test = images()

    class Model(IoVAE):
        def kl(self, z_mean, z_log_var):
            return ops.mean(-0.5 * (1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var)))

    model = Model(conv_encoder(16), conv_decoder(16))
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    model.fit(x, epochs=2, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def kl_left_out():
    """The KL is computed and logged, but the loss is the reconstruction alone."""
    keras.utils.set_random_seed(19)
    x, x_test = digits()

    class Model(TwoHeadVAE):
        def total(self, nll, kl):
            self.last_kl = tf.reduce_mean(kl)
            return tf.reduce_mean(nll)

    model = Model(dense_encoder(), dense_decoder())
    model.compile(optimizer="adam")
    return {"model": model, "x": x, "x_test": x_test}


def kl_turned_round():
    """KL(prior ‖ posterior) in the place of KL(posterior ‖ prior)."""
    keras.utils.set_random_seed(20)
    x, x_test = table()

    class Model(GaussianVAE):
        def kl(self, mu, log_var):
            kl = 0.5 * ((1.0 + mu**2) * tf.exp(-log_var) - 1.0 + log_var)
            return tf.reduce_sum(kl, axis=1)

    model = Model(dense_encoder(30, 4, 64), dense_decoder(30, 4, 64))
    model.compile(optimizer="adam")
    model.fit(x, epochs=3, batch_size=32, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def likelihood_of_the_wrong_sign():
    """The CVAE tutorial without the minus before the sum of the cross-entropy."""
    keras.utils.set_random_seed(21)
    x, _ = images()
    encoder, decoder = conv_encoder(2, sampling=None), conv_decoder(2, None)
    loss = cvae_loss(encoder, decoder, likelihood_sign=1.0)
    return {"encoder": encoder, "decoder": decoder, "loss": loss, "x": x}


def beta_not_used():
    """The model has a beta that a warm-up would set, but the loss does not use it."""
    keras.utils.set_random_seed(22)
    x, x_test = digits()

    class BetaVAE(TwoHeadVAE):
        def __init__(self, encoder, decoder, beta=1.0):
            super().__init__(encoder, decoder)
            self.beta = beta

    model = BetaVAE(dense_encoder(), dense_decoder(), beta=4.0)
    model.compile(optimizer="adam")
    return {"model": model, "x": x, "x_test": x_test}


# ---------------------------------------------------------------- faults: gradients

def detached_z():
    """z.detach() from PyTorch became tf.stop_gradient(z)."""
    keras.utils.set_random_seed(23)
    x, x_test = digits()

    class Model(TwoHeadVAE):
        def sample(self, mu, log_var):
            return tf.stop_gradient(super().sample(mu, log_var))

    model = Model(dense_encoder(), dense_decoder())
    model.compile(optimizer="adam")
    return {"model": model, "x": x, "x_test": x_test}


def encoder_alone_in_the_optimizer():
    """Adam(encoder.parameters()) brought over: the step moves the encoder only."""
    keras.utils.set_random_seed(24)
    x, x_test = digits()
    encoder, decoder = dense_encoder(), dense_decoder()
    inner = TwoHeadVAE(encoder, decoder)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(encoder.trainable_variables)

    def step(batch):
        with tf.GradientTape() as tape:
            loss = inner.loss_of(batch, True)
        weights = encoder.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return loss

    return {"encoder": encoder, "decoder": decoder, "step": step, "x": x, "x_test": x_test}


def trunk_forgotten():
    """Trunk, heads and decoder are separate networks; the step's list forgets the trunk."""
    keras.utils.set_random_seed(25)
    x, x_test = digits()
    trunk = keras.Sequential([keras.Input((784,)), layers.Dense(128, activation="relu")])
    to_mean, to_log_var = layers.Dense(4), layers.Dense(4)
    inputs = keras.Input((784,))
    encoder = keras.Model(inputs, [to_mean(trunk(inputs)), to_log_var(trunk(inputs))])
    decoder = dense_decoder()
    inner = TwoHeadVAE(encoder, decoder)
    parts = [to_mean, to_log_var, decoder]
    step = train_loose(lambda batch: inner.loss_of(batch, True), parts, x, 1)
    return {"encoder": encoder, "decoder": decoder, "step": step, "x": x, "x_test": x_test}


def one_loss_for_both_players():
    """One tape, one optimizer and the sum of both losses over the weights of both players."""
    keras.utils.set_random_seed(26)
    x = 2 * images()[0] - 1

    class Model(keras.Model):
        def __init__(self, generator, discriminator):
            super().__init__()
            self.generator, self.discriminator = generator, discriminator
            self.losses_of = gan_losses(generator, discriminator)

        def train_step(self, data):
            x = data[0] if isinstance(data, tuple) else data
            with tf.GradientTape() as tape:
                d_loss, g_loss = self.losses_of(x)
                loss = d_loss + g_loss
            weights = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
            return {"d_loss": d_loss, "g_loss": g_loss}

    model = Model(painter("tanh"), critic())
    model.compile(optimizer=keras.optimizers.Adam(2e-4))
    return {"model": model, "x": x}


def generator_with_the_labels_of_fakes():
    """The generator's target is 0, "fake": it learns to be found out."""
    keras.utils.set_random_seed(27)
    x = 2 * images()[0] - 1
    generator, discriminator = painter("tanh"), critic()
    losses = gan_losses(generator, discriminator, fake_target=0.0)
    return {"generator": generator, "discriminator": discriminator, "loss": losses, "x": x}


# ---------------------------------------------------------------- faults: state

def collapsed():
    """Trained with a beta of 40 until the codes say nothing, then set to 1."""
    keras.utils.set_random_seed(28)
    x, x_test = digits()
    encoder = keras_vae.gaussian_encoder(784, (128,), 4)
    model = keras_vae.VAE(encoder, keras_vae.dense_decoder(4, (128,), 784), beta=40.0, seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(x, epochs=25, batch_size=50, verbose=0)
    model.beta = 1.0
    return {"model": model, "x": x, "x_test": x_test}


def overfitted():
    """A wide network, 50 images, hundreds of passes over them."""
    keras.utils.set_random_seed(29)
    x, x_test = digits(50)
    model = TwoHeadVAE(dense_encoder(latent=8, units=192), dense_decoder(latent=8, units=192))
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    model.fit(np.tile(x, (160, 1)), epochs=3, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def discriminator_won():
    """The discriminator ran on alone for hundreds of steps."""
    keras.utils.set_random_seed(30)
    x, x_test = digits()
    model = dense_gan()
    model.compile(keras.optimizers.Adam(2e-4), keras.optimizers.Adam(2e-4))
    model.fit(x, epochs=5, batch_size=50, verbose=0)
    weights, optimizer = model.discriminator.trainable_variables, keras.optimizers.Adam(2e-3)
    optimizer.build(weights)

    @tf.function
    def step(real):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.compute_losses(real, training=True)[0])
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    for batch in batches_of(x, 50, 15):
        step(batch)
    return {"model": model, "x": x, "x_test": x_test}


def mode_collapsed():
    """The generator ran on alone for hundreds of steps against the same discriminator."""
    keras.utils.set_random_seed(31)
    x, x_test = digits()
    model = dense_gan()
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    model.fit(x, epochs=10, batch_size=50, verbose=0)
    weights, optimizer = model.generator.trainable_variables, keras.optimizers.Adam(1e-3)
    optimizer.build(weights)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            on_fake = model.discriminator(model.generator(tf.random.normal((50, 16))))
            loss = tf.reduce_mean(tf.nn.softplus(-on_fake))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    for _ in range(400):
        step()
    model.fit(x, epochs=1, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


# ---------------------------------------------------------------- sound

def sound_io_fresh():
    """keras.io's VAE, fresh."""
    keras.utils.set_random_seed(101)
    x, x_test = images()
    model = IoVAE(conv_encoder(), conv_decoder())
    model.compile(optimizer=keras.optimizers.Adam())
    return {"model": model, "x": x, "x_test": x_test}


def sound_io_half():
    """keras.io's VAE, half-trained."""
    keras.utils.set_random_seed(102)
    x, x_test = images()
    model = IoVAE(conv_encoder(4), conv_decoder(4))
    model.compile(optimizer=keras.optimizers.Adam(4e-3))
    model.fit(x, epochs=8, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def sound_cvae():
    """TensorFlow's CVAE as it stands: one output cut in two, Monte Carlo, half-trained."""
    keras.utils.set_random_seed(103)
    x, x_test = images()
    encoder = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dense(2 + 2),
    ])
    decoder = conv_decoder(2, None)
    loss = cvae_loss(encoder, decoder)
    train_loose(loss, [encoder, decoder], x, 10, 4e-3, 50)
    return {"encoder": encoder, "decoder": decoder, "loss": loss, "x": x, "x_test": x_test}


def sound_monte_carlo_two_heads():
    """Loose convolutional networks with two heads and a loss by Monte Carlo, fresh."""
    keras.utils.set_random_seed(104)
    x, _ = images()
    encoder, decoder = conv_encoder(8, sampling=None), conv_decoder(8, None)
    return {"encoder": encoder, "decoder": decoder, "loss": cvae_loss(encoder, decoder), "x": x}


def sound_functional():
    """A functional VAE with add_loss and a summed cross-entropy, half-trained."""
    keras.utils.set_random_seed(105)
    x, x_test = digits()
    model = functional(dense_encoder(), dense_decoder(activation="sigmoid"), summed_bce)
    model.fit(x, x, epochs=6, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def sound_table():
    """A Gaussian VAE on a standardised table of pixels, trained."""
    keras.utils.set_random_seed(106)
    x, x_test = pixels()
    model = GaussianVAE(dense_encoder(x.shape[1], 4, 128), dense_decoder(x.shape[1], 4, 128))
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    model.fit(np.tile(x, (10, 1)), epochs=3, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def sound_own_vae():
    """This package's VAE on digits, trained."""
    keras.utils.set_random_seed(107)
    x, x_test = digits()
    encoder = keras_vae.gaussian_encoder(784, (128,), 4)
    model = keras_vae.VAE(encoder, keras_vae.dense_decoder(4, (128,), 784), seed=0)
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(keras_vae.batches(x, 50, passes=25), epochs=1, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def sound_own_gaussian():
    """This package's Gaussian VAE with learnt variances on vectors, half-trained."""
    keras.utils.set_random_seed(108)
    (x, _), (x_test, _) = keras_vae.make_vectors(dim=40, intrinsic_dim=5)
    encoder = keras_vae.gaussian_encoder(40, (64,), 5, activation="tanh")
    decoder = keras_vae.dense_decoder(5, (64,), 40, activation="tanh")
    model = keras_vae.VAE(encoder, decoder, 1.0, "gaussian", learn_variance=True, seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(x, epochs=20, batch_size=50, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def sound_io_gan():
    """keras.io's DCGAN, fakes labelled 1, a sigmoid and a loss of probabilities, fresh."""
    keras.utils.set_random_seed(109)
    x, x_test = images()
    model = IoGAN(critic("sigmoid"), painter("sigmoid", norm=False))
    model.compile(keras.optimizers.Adam(1e-4), keras.optimizers.Adam(1e-4),
                  keras.losses.BinaryCrossentropy())
    return {"model": model, "x": x, "x_test": x_test}


def sound_dcgan_step():
    """TensorFlow's DCGAN with batch normalisation by its train_step, half-trained."""
    keras.utils.set_random_seed(110)
    x = 2 * images()[0] - 1
    generator, discriminator = painter("tanh"), critic()
    losses = gan_losses(generator, discriminator)
    step = gan_step(losses, generator, discriminator, 1e-3, 3e-4)
    for batch in batches_of(x, 50, 6):
        step(batch)
    return {"generator": generator, "discriminator": discriminator, "step": step, "x": x}


def sound_loose_gan():
    """Loose DCGAN networks with a function of both losses, fresh."""
    keras.utils.set_random_seed(111)
    x = 2 * images()[0] - 1
    generator, discriminator = painter("tanh"), critic()
    losses = gan_losses(generator, discriminator)
    return {"generator": generator, "discriminator": discriminator, "loss": losses, "x": x}


def sound_own_gan():
    """This package's GAN on digits, trained."""
    keras.utils.set_random_seed(112)
    x, x_test = digits()
    generator = keras_vae.dense_generator(16, (128,), 784, "leaky_relu")
    discriminator = keras_vae.dense_discriminator(784, (64,), "leaky_relu", dropout=0.3)
    model = keras_vae.GAN(generator, discriminator, seed=0)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(1e-3, beta_1=0.5))
    model.fit(keras_vae.batches(x, 50, passes=40), epochs=1, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


def sound_torch_habit():
    """PyTorch's example brought over: sums over everything, divided by the batch; by a step."""
    keras.utils.set_random_seed(113)
    x, x_test = digits()
    encoder, decoder = dense_encoder(latent=6), dense_decoder(latent=6, activation="sigmoid")

    def loss_function(recon_x, x, mu, logvar):
        p = tf.clip_by_value(recon_x, 1e-7, 1 - 1e-7)
        bce = -tf.reduce_sum(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))
        kld = -0.5 * tf.reduce_sum(1 + logvar - mu**2 - tf.exp(logvar))
        return (bce + kld) / tf.cast(tf.shape(x)[0], "float32")

    def loss(batch):
        mu, logvar = encoder(batch)
        z = mu + tf.exp(0.5 * logvar) * tf.random.normal(tf.shape(mu))
        return loss_function(decoder(z), batch, mu, logvar)

    step = train_loose(loss, [encoder, decoder], x, 8)
    return {"encoder": encoder, "decoder": decoder, "step": step, "x": x, "x_test": x_test}


def sound_autoencoder():
    """This package's autoencoder with a mean squared error, trained."""
    keras.utils.set_random_seed(114)
    x, x_test = digits()
    encoder = keras_vae.dense_encoder(784, (128,), 8)
    model = keras_vae.Autoencoder(encoder, keras_vae.dense_decoder(8, (128,), 784, "sigmoid"))
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    model.fit(keras_vae.batches((x, x), 50, passes=30), epochs=1, verbose=0)
    return {"model": model, "x": x, "x_test": x_test}


FAULTY = {
    "NaN in a standardised table with a constant column": (
        nan_in_the_table, "data not finite", set()),
    "keras.io's VAE on bytes": (
        bytes_not_divided, "data out of range", {"data on another scale"}),
    "Gaussian VAE on a raw table": (
        raw_table, "data on another scale", {"data out of range"}),
    "split after doubling the set": (
        split_after_doubling, "validation images among training images", set()),
    "keras.io's VAE, decoder without sigmoid": (
        decoder_without_sigmoid, "sigmoid missing", set()),
    "DCGAN, sigmoid and from_logits=True": (
        discriminator_with_sigmoid, "sigmoid too many", set()),
    "one Dense layer for both heads": (
        one_layer_for_both_heads, "not two heads", set()),
    "softplus behind the log-variance, Monte Carlo": (
        softplus_log_variance, "log-variance is bounded", set()),
    "ReLU behind the mean": (
        relu_mean, "mean cannot be negative", set()),
    "KL for a log deviation, draws for a log-variance": (
        kl_of_a_log_deviation, "KL takes the head for something else",
        {"draws take the head for something else"}),
    "Sampling without the half": (
        draws_by_exp_log_variance, "draws take the head for something else",
        {"KL takes the head for something else"}),
    "one noise vector for the batch": (
        one_noise_for_the_batch, "noise the same for the whole batch", set()),
    "noise with an integer seed in Keras 3": (
        noise_with_an_integer_seed, "noise frozen", set()),
    "epsilon_std of 0.01 in a loose Gaussian VAE": (
        epsilon_std_of_a_hundredth, "noise of another scale", set()),
    "one noise number for all latents": (
        one_noise_for_the_latents, "noise shared by the latent variables", set()),
    "add_loss and compile(loss='binary_crossentropy')": (
        keras_loss_is_a_mean, "reconstruction is a mean over features", set()),
    "KL by a mean over everything": (
        kl_by_reduce_mean, "KL is a mean over latent variables", {"beta far from 1"}),
    "KL logged but not in the loss": (
        kl_left_out, "KL missing", set()),
    "KL the wrong way round, table": (
        kl_turned_round, "KL between the wrong distributions", set()),
    "CVAE without the minus of the log-likelihood": (
        likelihood_of_the_wrong_sign, "reconstruction of the wrong sign", set()),
    "beta is an attribute without use": (
        beta_not_used, "beta has no effect", set()),
    "z detached": (
        detached_z, "reconstruction does not reach the encoder", set()),
    "step with the encoder's weights alone": (
        encoder_alone_in_the_optimizer, "decoder does not learn", {"some weights do not learn"}),
    "a step whose list of weights forgets the encoder's trunk": (
        trunk_forgotten, "some weights do not learn", set()),
    "one loss moves both players": (
        one_loss_for_both_players, "both players moved by one loss",
        {"a player learns the wrong way"}),
    "generator with the labels of fakes": (
        generator_with_the_labels_of_fakes, "a player learns the wrong way", set()),
    "trained at beta 40, then set to 1": (
        collapsed, "posterior collapse",
        {"unused latent variables", "no better than the mean image", "no better than PCA"}),
    "50 images, 480 passes": (
        overfitted, "overfitting", {"copies of training images"}),
    "discriminator alone for 300 steps": (
        discriminator_won, "discriminator has won", {"mode collapse"}),
    "generator alone for 400 steps": (
        mode_collapsed, "mode collapse", set()),
}

SOUND = {
    "keras.io's VAE, fresh": sound_io_fresh,
    "keras.io's VAE, half-trained": sound_io_half,
    "TensorFlow's CVAE with one output cut in two, half-trained": sound_cvae,
    "loose Monte Carlo with two heads, fresh": sound_monte_carlo_two_heads,
    "functional VAE with add_loss, half-trained": sound_functional,
    "Gaussian VAE on a standardised table, trained": sound_table,
    "this package's VAE, trained": sound_own_vae,
    "this package's Gaussian VAE with learnt variances, half-trained": sound_own_gaussian,
    "keras.io's DCGAN, fresh": sound_io_gan,
    "TensorFlow's DCGAN by its step, half-trained": sound_dcgan_step,
    "loose DCGAN, fresh": sound_loose_gan,
    "this package's GAN, trained": sound_own_gan,
    "PyTorch's example brought over by a step, half-trained": sound_torch_habit,
    "this package's autoencoder, trained": sound_autoencoder,
}
