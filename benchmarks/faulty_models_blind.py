"""The blind half of a bench for keras_vae.diagnose: faulty and sound models, built on demand."""

import functools

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from keras import layers

import keras_vae
from keras_vae import networks

# Data


@functools.cache
def digits():
    """Return 1000 training and 300 test images, flat, in [0, 1]."""
    _, (x, _), (x_test, _) = keras_vae.load_images("digits")
    return x[:1000], x_test[:300]


def square():
    """Return the same images as (28, 28, 1)."""
    return tuple(x.reshape(-1, 28, 28, 1) for x in digits())


def table(load, standardise=True):
    """Return the rows of a table of scikit-learn, shuffled, all but 60 and the last 60."""
    x = load().data.astype("float32")
    x = np.random.default_rng(0).permutation(x)
    if standardise:
        x = (x - x.mean(0)) / x.std(0)
    return x[:-60], x[-60:]


def cloud(num=1000):
    """Return points of a correlated normal distribution in the plane, (num, 2)."""
    points = np.random.default_rng(0).normal(size=(num, 2)) @ [[1.0, 0.6], [0.0, 0.8]]
    return points.astype("float32")


# Draws of z


def reparameterise(mean, h):
    return mean + tf.exp(0.5 * h) * tf.random.normal(tf.shape(mean))


def draw_exp(mean, h):
    return mean + tf.exp(h) * tf.random.normal(tf.shape(mean))


def draw_head(mean, h):
    return mean + h * tf.random.normal(tf.shape(mean))


def draw_nothing(mean, h):
    return mean


def draw_one_row(mean, h):
    return mean + tf.exp(0.5 * h) * tf.random.normal((1, mean.shape[-1]))


def draw_one_number(mean, h):
    return mean + tf.exp(0.5 * h) * tf.random.normal((tf.shape(mean)[0], 1))


def draw_frozen(mean, h):
    return mean + tf.exp(0.5 * h) * keras.random.normal(tf.shape(mean), seed=1337)


def draw_small(mean, h):
    return mean + tf.exp(0.5 * h) * tf.random.normal(tf.shape(mean), stddev=0.01)


def draw_uniform(mean, h):
    return mean + tf.exp(0.5 * h) * tf.random.uniform(tf.shape(mean))


def draw_stopped(mean, h):
    return tf.stop_gradient(reparameterise(mean, h))


class Sampling(layers.Layer):
    """Draws z from [z_mean, z_log_var]."""

    def __init__(self, draw, **kwargs):
        super().__init__(**kwargs)
        self.draw = draw

    def call(self, inputs):
        return self.draw(*inputs)


class KLLayer(layers.Layer):
    """Passes z_mean and z_log_var on, and adds their KL divergence to the losses."""

    def call(self, inputs):
        self.add_loss(tf.reduce_mean(kl_sum(*inputs)))
        return inputs


# Networks


def make_encoder(shape=(784,), latent=8, hidden=128, draw=reparameterise, mean_end=None,
                 var_end=None, between=(), shared=False, add_kl=False):
    """Return x → [z_mean, z_log_var, z], or the first two where there is no draw."""
    inputs = keras.Input(shape)
    h = inputs
    if len(shape) == 3:
        h = layers.Conv2D(8, 3, 2, "same", activation="relu")(h)
        h = layers.Conv2D(16, 3, 2, "same", activation="relu")(h)
        h = layers.Flatten()(h)
    h = layers.Dense(hidden, activation="relu")(h)
    for layer in between:
        h = layer(h)
    to_mean = layers.Dense(latent, mean_end, name="z_mean")
    mean = to_mean(h)
    log_var = to_mean(h) if shared else layers.Dense(latent, var_end, name="z_log_var")(h)
    if add_kl:
        mean, log_var = KLLayer()([mean, log_var])
    heads = [mean, log_var]
    return keras.Model(inputs, heads + ([Sampling(draw)(heads)] if draw else []), name="encoder")


def make_decoder(latent=8, shape=(784,), end="sigmoid", hidden=128, between=()):
    """Return z → x's shape."""
    inputs = keras.Input((latent,))
    if len(shape) == 3:
        h = layers.Dense(7 * 7 * 16, activation="relu")(inputs)
        h = layers.Reshape((7, 7, 16))(h)
        h = layers.Conv2DTranspose(8, 3, 2, "same", activation="relu")(h)
        out = layers.Conv2DTranspose(1, 3, 2, "same", activation=end)(h)
    else:
        h = layers.Dense(hidden, activation="relu")(inputs)
        for layer in between:
            h = layer(h)
        out = layers.Dense(shape[0], activation=end)(h)
    return keras.Model(inputs, out, name="decoder")


# Losses, of each example


def over_features(values):
    return tf.reduce_sum(values, range(1, len(values.shape)))


def cross_entropy(x, p):
    p = tf.clip_by_value(p, 1e-7, 1 - 1e-7)
    return -over_features(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))


def cross_entropy_logits(x, logits):
    return over_features(tf.nn.sigmoid_cross_entropy_with_logits(x, logits))


def cross_entropy_mean(x, p):
    return keras.losses.binary_crossentropy(x, p)


def gaussian(x, mean):
    return 0.5 * over_features(tf.square(x - mean) + np.log(2 * np.pi))


def kl_sum(mean, h):
    return -0.5 * tf.reduce_sum(1 + h - tf.square(mean) - tf.exp(h), -1)


def kl_mean(mean, h):
    return -0.5 * tf.reduce_mean(1 + h - tf.square(mean) - tf.exp(h), -1)


def kl_sign(mean, h):
    return 0.5 * tf.reduce_sum(1 + h - tf.square(mean) - tf.exp(h), -1)


def kl_log_deviation(mean, h):
    return -0.5 * tf.reduce_sum(1 + 2 * h - tf.square(mean) - tf.exp(2 * h), -1)


def kl_deviation(mean, h):
    return 0.5 * tf.reduce_sum(mean**2 + h**2 - tf.math.log(1e-8 + h**2) - 1, -1)


def kl_reversed(mean, h):
    return 0.5 * tf.reduce_sum(h + (1 + mean**2) * tf.exp(-h) - 1, -1)


def log_normal_pdf(sample, mean, logvar):
    log2pi = np.log(2 * np.pi)
    return tf.reduce_sum(-0.5 * ((sample - mean) ** 2 * tf.exp(-logvar) + logvar + log2pi), 1)


# Models with a train_step of their own


def unpack(data):
    return data[0] if isinstance(data, (tuple, list)) else data


class Tutorial(keras.Model):
    """As on keras.io: the encoder draws z, the train_step adds two losses and tracks them."""

    def __init__(self, encoder, decoder, reconstruction=cross_entropy, kl=kl_sum):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.reconstruction_of, self.kl_of = reconstruction, kl
        names = "loss", "reconstruction_loss", "kl_loss"
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.trackers

    def total(self, reconstruction, kl):
        return reconstruction + kl

    def weights_to_train(self):
        return self.trainable_weights

    def compute_losses(self, x):
        mean, log_var, z = self.encoder(x, training=True)
        output = self.decoder(z, training=True)
        reconstruction = tf.reduce_mean(self.reconstruction_of(x, output))
        kl = tf.reduce_mean(self.kl_of(mean, log_var))
        return self.total(reconstruction, kl), reconstruction, kl

    def train_step(self, data):
        with tf.GradientTape() as tape:
            values = self.compute_losses(unpack(data))
        weights = self.weights_to_train()
        self.optimizer.apply_gradients(zip(tape.gradient(values[0], weights), weights))
        for tracker, value in zip(self.trackers, values):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def call(self, x):
        return self.decoder(self.encoder(x)[0])


class Named(Tutorial):
    """A Tutorial whose KL divergence has a weight that the model names."""

    def __init__(self, encoder, decoder, beta, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.beta = beta

    def total(self, reconstruction, kl):
        return reconstruction + self.beta * kl


class CVAE(keras.Model):
    """As in TensorFlow's tutorial: one output to be split, a Monte Carlo loss, logits."""

    def __init__(self, latent=4, end=None, flat=False):
        super().__init__()
        head = keras.Sequential([keras.Input((28, 28, 1))], name="encoder")
        if not flat:
            head.add(layers.Conv2D(8, 3, 2, activation="relu"))
            head.add(layers.Conv2D(16, 3, 2, activation="relu"))
        head.add(layers.Flatten())
        head.add(layers.Dense(64, activation="relu"))
        head.add(layers.Dense(latent + latent))
        self.encoder, self.decoder = head, make_decoder(latent, (28, 28, 1), end)
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def encode(self, x):
        return tf.split(self.encoder(x), 2, axis=1)

    def reparameterize(self, mean, logvar):
        return tf.random.normal(tf.shape(mean)) * tf.exp(logvar * 0.5) + mean

    def log_likelihood(self, x, logits):
        return -cross_entropy_logits(x, logits)

    def log_prior(self, z):
        return log_normal_pdf(z, 0.0, 0.0)

    def log_posterior(self, z, mean, logvar):
        return log_normal_pdf(z, mean, logvar)

    def elbo_loss(self, x):
        mean, logvar = self.encode(x)
        z = self.reparameterize(mean, logvar)
        logpx_z = self.log_likelihood(x, self.decoder(z))
        return -tf.reduce_mean(logpx_z + self.log_prior(z) - self.log_posterior(z, mean, logvar))

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.elbo_loss(unpack(data))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def functional(encoder, decoder, loss):
    """Return a functional model of encoder and decoder, compiled, with both as attributes."""
    inputs = keras.Input(encoder.input_shape[1:])
    code = encoder(inputs)
    model = keras.Model(inputs, decoder(code[-1] if isinstance(code, (list, tuple)) else code))
    model.encoder, model.decoder = encoder, decoder
    model.compile("adam", loss)
    return model


def tutorial(fit=0, shape=(784,), cls=Tutorial, x=None, encoder=None, decoder=None,
             optimizer="adam", **kwargs):
    """Return the arguments for a Tutorial on digits, compiled and trained for `fit` epochs."""
    if x is None:
        x = (square() if len(shape) == 3 else digits())[0]
    encoder = make_encoder(shape) if encoder is None else encoder
    decoder = make_decoder(encoder.outputs[0].shape[1], shape) if decoder is None else decoder
    model = cls(encoder, decoder, **kwargs)
    model.compile(optimizer=optimizer)
    if fit:
        model.fit(x, epochs=fit, batch_size=64, verbose=0)
    return {"model": model, "x": x}


def package(x, latent=8, hidden=(128,), fit=0, learning_rate=1e-3, batch_size=64, x_test=None,
            cls=keras_vae.VAE, activation="relu", **kwargs):
    """Return the arguments for one of the package's VAEs, trained for `fit` epochs."""
    encoder = networks.gaussian_encoder(x.shape[1], hidden, latent, activation)
    decoder = networks.dense_decoder(latent, hidden[::-1], x.shape[1], activation=activation)
    model = cls(encoder, decoder, seed=0, **kwargs)
    model.compile(keras.optimizers.Adam(learning_rate))
    if fit:
        model.fit(x, epochs=fit, batch_size=batch_size, verbose=0)
    return {"model": model, "x": x} | ({} if x_test is None else {"x_test": x_test})


def loose(reconstruction=gaussian, kl=kl_sum, draw=reparameterise, encoder=None, end=None, x=None):
    """Return the arguments for two loose networks, whose loss draws z itself."""
    x = table(sklearn.datasets.load_breast_cancer)[0] if x is None else x
    shape = x.shape[1:]
    encoder = make_encoder(shape, latent=6, hidden=64, draw=None) if encoder is None else encoder
    decoder = make_decoder(6, shape, end, hidden=64)

    def loss(batch):
        mean, h = encoder(batch)
        output = decoder(draw(mean, h))
        return tf.reduce_mean(reconstruction(batch, output)) + tf.reduce_mean(kl(mean, h))

    return {"encoder": encoder, "decoder": decoder, "loss": loss, "x": x}


# GANs


def make_generator(noise=16, shape=(784,), end="sigmoid", hidden=128):
    h = [keras.Input((noise,))]
    if len(shape) == 3:
        h += [layers.Dense(7 * 7 * 16), layers.LeakyReLU(0.2), layers.Reshape((7, 7, 16))]
        h += [layers.Conv2DTranspose(8, 4, 2, "same"), layers.LeakyReLU(0.2)]
        h += [layers.Conv2DTranspose(1, 4, 2, "same", activation=end)]
    else:
        h += [layers.Dense(hidden, activation="relu"), layers.Dense(shape[0], activation=end)]
    return keras.Sequential(h, name="generator")


def make_discriminator(shape=(784,), end=None, hidden=64):
    h = [keras.Input(shape)]
    if len(shape) == 3:
        h += [layers.Conv2D(8, 4, 2, "same"), layers.LeakyReLU(0.2)]
        h += [layers.Conv2D(16, 4, 2, "same"), layers.LeakyReLU(0.2), layers.Flatten()]
    else:
        h += [layers.Dense(hidden), layers.LeakyReLU(0.2)]
    return keras.Sequential([*h, layers.Dense(1, activation=end)], name="discriminator")


def labelled(from_logits, real_label=1.0, fake_label=0.0, wanted=1.0):
    """Return d_loss and g_loss by Keras's cross-entropy with these labels."""
    bce = keras.losses.BinaryCrossentropy(from_logits=from_logits)

    def d_loss(on_real, on_fake):
        real = bce(real_label * tf.ones_like(on_real), on_real)
        return real + bce(fake_label + tf.zeros_like(on_fake), on_fake)

    return d_loss, lambda on_fake: bce(wanted * tf.ones_like(on_fake), on_fake)


class Pair(keras.Model):
    """As on keras.io: first the discriminator's step, then the generator's, on fresh noise."""

    def __init__(self, generator, discriminator, d_loss, g_loss):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.d_loss_of, self.g_loss_of = d_loss, g_loss
        self.d_tracker = keras.metrics.Mean(name="d_loss")
        self.g_tracker = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    @property
    def metrics(self):
        return [self.d_tracker, self.g_tracker]

    def noise(self, real):
        return tf.random.normal((tf.shape(real)[0], self.generator.input_shape[1]))

    def penalty(self, real, fake):
        return 0.0

    def apply_d(self, tape, loss):
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    def apply_g(self, tape, loss):
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    def train_step(self, data):
        real = unpack(data)
        fake = self.generator(self.noise(real), training=True)
        with tf.GradientTape() as tape:
            on_real = self.discriminator(real, training=True)
            on_fake = self.discriminator(fake, training=True)
            d_loss = self.d_loss_of(on_real, on_fake) + self.penalty(real, fake)
        self.apply_d(tape, d_loss)
        with tf.GradientTape() as tape:
            fake = self.generator(self.noise(real), training=True)
            g_loss = self.g_loss_of(self.discriminator(fake, training=True))
        self.apply_g(tape, g_loss)
        self.d_tracker.update_state(d_loss)
        self.g_tracker.update_state(g_loss)
        return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}


def pair(losses, x=None, end=None, g_end="sigmoid", cls=Pair, fit=0, hidden=128, rate=2e-4):
    """Return the arguments for a Pair, compiled with Adam and trained for `fit` epochs."""
    x = digits()[0] if x is None else x
    shape = x.shape[1:]
    generator = make_generator(16, shape, g_end, hidden)
    model = cls(generator, make_discriminator(shape, end, hidden), *losses)
    model.compile(keras.optimizers.Adam(rate, 0.5), keras.optimizers.Adam(rate, 0.5))
    if fit:
        model.fit(x, epochs=fit, batch_size=64, verbose=0)
    return {"model": model, "x": x}


def loose_pair(losses, x=None, end=None, g_end="sigmoid", through=tf.identity):
    """Return the arguments for a loose GAN, as in TensorFlow's tutorial of the DCGAN."""
    x = square()[0] if x is None else x
    generator, discriminator = make_generator(16, x.shape[1:], g_end), None
    discriminator = make_discriminator(x.shape[1:], end)

    def loss(batch):
        fake = generator(tf.random.normal((tf.shape(batch)[0], 16)), training=True)
        on_real = discriminator(batch, training=True)
        on_fake = discriminator(through(fake), training=True)
        return losses[0](on_real, on_fake), losses[1](on_fake)

    return {"generator": generator, "discriminator": discriminator, "loss": loss, "x": x}


def package_gan(x, g_rate=2e-4, d_rate=2e-4, fit=0, noise=16, hidden=(128,), **kwargs):
    """Return the arguments for the package's GAN, trained for `fit` epochs."""
    generator = networks.dense_generator(noise, hidden, x.shape[1])
    discriminator = networks.dense_discriminator(x.shape[1], hidden, "leaky_relu")
    model = keras_vae.GAN(generator, discriminator, seed=0, **kwargs)
    model.compile(keras.optimizers.Adam(g_rate, 0.5), keras.optimizers.Adam(d_rate, 0.5))
    if fit:
        model.fit(x, epochs=fit, batch_size=64, verbose=0)
    return {"model": model, "x": x}


def autoencoder(x, code=16, hidden=(128,), fit=0, target=None, rate=1e-3, activation="relu"):
    """Return the arguments for the package's Autoencoder, trained for `fit` epochs."""
    encoder = networks.dense_encoder(x.shape[1], hidden, code, activation)
    decoder = networks.dense_decoder(code, hidden[::-1], x.shape[1], "sigmoid", activation)
    model = keras_vae.Autoencoder(encoder, decoder)
    model.compile(keras.optimizers.Adam(rate), "mse")
    if fit:
        model.fit(x, x if target is None else target, epochs=fit, batch_size=64, verbose=0)
    return {"model": model, "x": x}


def case(builder):
    """Seed Keras before the builder runs."""

    @functools.wraps(builder)
    def seeded():
        keras.utils.set_random_seed(1234)
        return builder()

    return seeded


# Faulty: data


@case
def constant_column():
    """A column that never changes is divided by its deviation of 0; one epoch is trained."""
    x = table(sklearn.datasets.load_breast_cancer, standardise=False)[0]
    x[:, 3] = 1
    with np.errstate(invalid="ignore"):
        x = (x - x.mean(0)) / x.std(0)
    return tutorial(1, x.shape[1:], x=x, reconstruction=gaussian,
                    decoder=make_decoder(8, x.shape[1:], None))


@case
def bytes_as_floats():
    """Images are cast to float32 and never divided by 255, in the package's VAE."""
    return package(np.round(digits()[0] * 255))


@case
def standardised_into_cross_entropy():
    """Pixels are standardised, as for a classifier, before a loss of cross-entropy."""
    x = square()[0]
    return tutorial(1, (28, 28, 1), x=(x - x.mean()) / x.std())


@case
def standardised_into_sigmoid():
    """A standardised table goes to an autoencoder that ends in a sigmoid, with mse."""
    x = table(sklearn.datasets.load_breast_cancer)[0]
    encoder = keras.Sequential([keras.Input((30,)), layers.Dense(32, "relu"), layers.Dense(6)])
    decoder = keras.Sequential([keras.Input((6,)), layers.Dense(30, "sigmoid")])
    model = functional(encoder, decoder, "mse")
    model.fit(x, x, epochs=3, verbose=0)
    return {"model": model, "x": x}


@case
def raw_table():
    """The columns of the wine table, 0.1 to 1600, go unscaled to a Gaussian of variance 1."""
    return package(table(sklearn.datasets.load_wine, False)[0], 4, (32,), likelihood="gaussian")


@case
def tanh_against_unit():
    """The generator ends in a tanh, the real images lie in [0, 1]."""
    return pair(labelled(True), square()[0], g_end="tanh")


@case
def raw_test_rows():
    """The training rows are standardised, the test rows are not."""
    x, _ = table(sklearn.datasets.load_breast_cancer)
    _, x_test = table(sklearn.datasets.load_breast_cancer, False)
    return package(x, 4, (32,), 20, x_test=x_test, likelihood="gaussian")


@case
def trained_on_all():
    """The model is fitted on all rows, the test rows are drawn from them afterwards."""
    x, _ = digits()
    rows = np.random.default_rng(1).choice(1000, 200, replace=False)
    return package(x, fit=3, x_test=x[rows])


# Faulty: networks


@case
def linear_into_cross_entropy():
    """The decoder is linear, Keras's binary_crossentropy takes its outputs for probabilities."""
    def loss(x, p):
        return 784 * keras.losses.binary_crossentropy(x, p)

    return tutorial(decoder=make_decoder(end=None), reconstruction=loss)


@case
def linear_autoencoder():
    """A functional autoencoder with a linear end, compiled with "binary_crossentropy"."""
    encoder = keras.Sequential([keras.Input((784,)), layers.Dense(32, "relu")])
    decoder = keras.Sequential([keras.Input((32,)), layers.Dense(784)])
    return {"model": functional(encoder, decoder, "binary_crossentropy"), "x": digits()[0]}


@case
def logit_as_probability():
    """The discriminator returns a logit, BinaryCrossentropy() takes it for a probability."""
    return pair(labelled(False))


@case
def sigmoid_before_logit_loss():
    """The tutorial's decoder gets a sigmoid, the loss still takes logits."""
    model = CVAE(end="sigmoid")
    model.compile("adam")
    model.fit(square()[0], epochs=1, batch_size=64, verbose=0)
    return {"model": model, "x": square()[0]}


@case
def sigmoid_from_logits():
    """The discriminator ends in a sigmoid, the loss has from_logits=True."""
    return pair(labelled(True), square()[0], end="sigmoid")


@case
def second_sigmoid():
    """The decoder ends in a sigmoid, the loose loss applies another before its cross-entropy."""
    return loose(lambda x, p: cross_entropy(x, tf.sigmoid(p)), end="sigmoid", x=digits()[0])


@case
def one_layer_twice():
    """One Dense layer is called twice, for the mean and for the log-variance."""
    decoder = networks.dense_decoder(8, (128,), 784)
    model = keras_vae.VAE(make_encoder(draw=None, shared=True), decoder, seed=0)
    model.compile()
    model.fit(digits()[0], epochs=2, verbose=0)
    return {"model": model, "x": digits()[0]}


@case
def relu_mean():
    """The layer of z_mean keeps the hidden layers' ReLU."""
    return tutorial(1, encoder=make_encoder(mean_end="relu"))


@case
def softplus_log_variance():
    """A softplus "keeps the variance positive", but is taken for its logarithm."""
    return tutorial(encoder=make_encoder((28, 28, 1), var_end="softplus"), shape=(28, 28, 1))


@case
def relu_log_variance():
    """Behind the loose encoder's log-variance stands a ReLU."""
    return loose(encoder=make_encoder((30,), 6, 64, None, var_end="relu"))


@case
def logarithm_of_zero():
    """log p without an epsilon and a learning rate of 0.5: after some steps all is NaN."""
    def raw(x, p):
        return -over_features(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))

    return tutorial(2, reconstruction=raw, optimizer=keras.optimizers.Adam(0.5))


# Faulty: heads and noise


@case
def kl_of_log_deviation():
    """The KL term takes the head for a log standard deviation, the draw for a log-variance."""
    return tutorial(kl=kl_log_deviation)


@case
def kl_of_deviation():
    """The KL term is one from code whose network returned the standard deviation."""
    return loose(kl=kl_deviation)


@case
def draws_exp():
    """z = mean + exp(log_var) · noise: the half was forgotten."""
    return tutorial(1, encoder=make_encoder(draw=draw_exp))


@case
def draws_head():
    """z = mean + log_var · noise: the head is taken for the deviation itself."""
    return loose(draw=draw_head)


@case
def cvae_draws_exp():
    """In TensorFlow's tutorial, exp(logvar * .5) becomes exp(logvar)."""
    class Changed(CVAE):
        def reparameterize(self, mean, logvar):
            return tf.random.normal(tf.shape(mean)) * tf.exp(logvar) + mean

    model = Changed(flat=True)
    model.compile("adam")
    return {"model": model, "x": square()[0]}


@case
def decodes_the_mean():
    """The decoder is given z_mean: no noise is drawn."""
    return tutorial(2, encoder=make_encoder(draw=draw_nothing))


@case
def noise_of_one_row():
    """The noise has shape (1, latent_dim), and is broadcast over the batch."""
    return tutorial(shape=(28, 28, 1), encoder=make_encoder((28, 28, 1), draw=draw_one_row))


@case
def loose_noise_of_one_row():
    """As tf.random.normal([latent_dim]) in a loose loss."""
    return loose(cross_entropy_logits, draw=draw_one_row, x=digits()[0])


@case
def seed_is_a_number():
    """The Sampling layer gives keras.random.normal an integer for a seed: ever the same noise."""
    return tutorial(2, encoder=make_encoder(draw=draw_frozen))


@case
def noise_made_once():
    """The noise is a constant tensor, made when the loss was defined."""
    made = tf.random.normal((2000, 6))
    return loose(draw=lambda mean, h: mean + tf.exp(h / 2) * made[: tf.shape(mean)[0]])


@case
def noise_of_a_hundredth():
    """epsilon_std is 0.01, as printed in an old textbook."""
    return tutorial(encoder=make_encoder(draw=draw_small))


@case
def rand_for_randn():
    """tf.random.uniform stands for tf.random.normal, as torch.rand for torch.randn."""
    return loose(draw=draw_uniform)


# Faulty: loss


@case
def mean_over_pixels():
    """keras.losses.binary_crossentropy averages over the 784 pixels, the KL is a sum."""
    return tutorial(2, reconstruction=cross_entropy_mean)


@case
def compiled_with_cross_entropy():
    """A layer adds the KL, the model is compiled with "binary_crossentropy", which averages."""
    encoder = make_encoder(add_kl=True)
    return {"model": functional(encoder, make_decoder(), "binary_crossentropy"), "x": digits()[0]}


@case
def mean_squared_error():
    """The loose loss takes reduce_mean of the squared errors over rows and columns."""
    return loose(lambda x, mean: tf.reduce_mean(tf.square(x - mean)))


@case
def kl_averaged():
    """reduce_mean in the KL divergence: over the latent variables too."""
    encoder = make_encoder(latent=16)
    return tutorial(2, encoder=encoder, kl=kl_mean)


@case
def kl_averaged_loose():
    """The same in a loose loss, on images and with logits."""
    return loose(cross_entropy_logits, kl_mean, x=digits()[0])


@case
def minus_lost():
    """The −0.5 of the KL divergence became 0.5."""
    return tutorial(encoder=make_encoder((28, 28, 1)), shape=(28, 28, 1), kl=kl_sign)


@case
def elbo_signs():
    """log q is added and log p(z) is subtracted in the tutorial's Monte Carlo loss."""
    class Changed(CVAE):
        def elbo_loss(self, x):
            mean, logvar = self.encode(x)
            z = self.reparameterize(mean, logvar)
            kl = self.log_posterior(z, mean, logvar) - self.log_prior(z)
            return -tf.reduce_mean(self.log_likelihood(x, self.decoder(z)) + kl)

    model = Changed(flat=True)
    model.compile("adam")
    return {"model": model, "x": square()[0]}


@case
def kl_only_tracked():
    """The KL divergence is computed and tracked, but not added to the loss."""
    class Changed(Tutorial):
        def total(self, reconstruction, kl):
            return reconstruction

    return tutorial(2, cls=Changed)


@case
def added_loss_ignored():
    """A layer of the encoder adds the KL by add_loss; the loose loss does not ask for it."""
    return loose(kl=lambda mean, h: 0.0, encoder=make_encoder((30,), 6, 64, None, add_kl=True))


@case
def kl_the_other_way():
    """KL(p || q) stands for KL(q || p)."""
    return tutorial(kl=kl_reversed)


@case
def prior_of_variance_e():
    """log_normal_pdf(z, 0., 1.): the third argument is a log-variance, the prior is N(0, e)."""
    class Changed(CVAE):
        def log_prior(self, z):
            return log_normal_pdf(z, 0.0, 1.0)

    model = Changed(latent=8, flat=True)
    model.compile("adam")
    return {"model": model, "x": square()[0]}


@case
def compiled_without_loss():
    """A layer adds the KL; the model is compiled without a loss, and learns that alone."""
    model = functional(make_encoder(add_kl=True), make_decoder(), None)
    model.fit(digits()[0], epochs=1, verbose=0)
    return {"model": model, "x": digits()[0]}


@case
def reconstruction_overwritten():
    """total_loss is assigned twice: the second time with the KL alone."""
    class Changed(Tutorial):
        def total(self, reconstruction, kl):
            return kl + 0.0 * reconstruction

    return tutorial(cls=Changed)


@case
def likelihood_sign():
    """logpx_z of TensorFlow's tutorial loses its minus."""
    class Changed(CVAE):
        def log_likelihood(self, x, logits):
            return cross_entropy_logits(x, logits)

    model = Changed()
    model.compile("adam")
    return {"model": model, "x": square()[0]}


@case
def beta_forgotten():
    """The model takes beta=4 and never uses it."""
    class Changed(Named):
        def total(self, reconstruction, kl):
            return reconstruction + kl

    return tutorial(cls=Changed, beta=4.0)


@case
def beta_frozen():
    """A warm-up sets a Python number, which the traced train_step holds at its first value, 0."""
    done = tutorial(cls=Named, beta=0.0)

    def warm_up(epoch, logs):
        done["model"].beta = min(1.0, epoch / 4)

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=warm_up)
    done["model"].fit(done["x"], epochs=8, batch_size=64, verbose=0, callbacks=[callback])
    return done


@case
def tiny_kl_weight():
    """loss = reconstruction + 0.00025 · KL, a weight that the model does not name."""
    class Changed(Tutorial):
        def total(self, reconstruction, kl):
            return reconstruction + 0.00025 * kl

    return tutorial(3, cls=Changed)


# Faulty: gradients


@case
def drawn_behind_a_stop():
    """stop_gradient stands around the draw of z: only the KL moves the encoder."""
    return tutorial(encoder=make_encoder(draw=draw_stopped))


@case
def drawn_before_the_tape():
    """z is drawn before the tape opens; under it stand decoder and KL."""
    class Changed(Tutorial):
        def train_step(self, data):
            x = unpack(data)
            z = self.encoder(x, training=True)[2]
            with tf.GradientTape() as tape:
                mean, log_var, _ = self.encoder(x, training=True)
                reconstruction = tf.reduce_mean(self.reconstruction_of(x, self.decoder(z)))
                loss = reconstruction + tf.reduce_mean(self.kl_of(mean, log_var))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
            for tracker, value in zip(self.trackers, (loss, reconstruction, loss - reconstruction)):
                tracker.update_state(value)
            return {tracker.name: tracker.result() for tracker in self.trackers}

    return tutorial(cls=Changed)


@case
def frozen_log_variance():
    """z_log_var's layer was frozen for the first epochs and never thawed."""
    encoder = make_encoder()
    encoder.get_layer("z_log_var").trainable = False
    return tutorial(2, encoder=encoder)


@case
def decoder_trained_alone():
    """The gradients are taken for the decoder's weights only."""
    class Changed(Tutorial):
        def weights_to_train(self):
            return self.decoder.trainable_weights

    return tutorial(2, cls=Changed)


@case
def encoder_left_frozen():
    """The encoder of an autoencoder stays frozen after its pretraining, which never ran."""
    done = autoencoder(digits()[0])
    done["model"].encoder.trainable = False
    done["model"].compile("adam", "mse")
    done["model"].fit(done["x"], epochs=3, verbose=0)
    return done


@case
def encoder_trained_alone():
    """The gradients are taken for the encoder's weights only."""
    class Changed(Tutorial):
        def weights_to_train(self):
            return self.encoder.trainable_weights

    return tutorial(cls=Changed, shape=(28, 28, 1))


@case
def generator_never_applied():
    """The generator's gradients are computed, but its optimizer is never asked to apply them."""
    class Changed(Pair):
        def apply_g(self, tape, loss):
            tape.gradient(loss, self.generator.trainable_weights)

    return pair(labelled(True), cls=Changed, fit=1)


@case
def images_cut_off():
    """The fake images are cut off from their generator before the discriminator sees them."""
    return loose_pair(labelled(True), through=tf.stop_gradient)


@case
def discriminator_never_applied():
    """The discriminator's step was commented out."""
    class Changed(Pair):
        def apply_d(self, tape, loss):
            pass

    return pair(labelled(False), end="sigmoid", cls=Changed)


@case
def discriminator_left_frozen():
    """discriminator.trainable = False, set for a combined model, is never undone."""
    done = loose_pair(labelled(True), digits()[0])
    done["discriminator"].trainable = False
    return done


@case
def one_optimizer_for_both():
    """One tape, one optimizer and the sum of the two losses for all weights."""
    class Changed(Pair):
        def train_step(self, data):
            real = unpack(data)
            with tf.GradientTape() as tape:
                on_fake = self.discriminator(self.generator(self.noise(real)))
                d_loss = self.d_loss_of(self.discriminator(real), on_fake)
                g_loss = self.g_loss_of(on_fake)
                loss = d_loss + g_loss
            gradients = tape.gradient(loss, self.trainable_weights)
            self.g_optimizer.apply_gradients(zip(gradients, self.trainable_weights))
            self.d_tracker.update_state(d_loss)
            self.g_tracker.update_state(g_loss)
            return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}

    return pair(labelled(True), cls=Changed)


@case
def generator_wants_fake():
    """The "misleading" labels are the fake images' own: the generator helps its opponent."""
    return pair(labelled(False, wanted=0.0), end="sigmoid")


@case
def critic_upside_down():
    """The critic's loss has the sign of what is to be raised: it learns to prefer the fake."""
    return loose_pair((lambda real, fake: tf.reduce_mean(real) - tf.reduce_mean(fake),
                       lambda fake: -tf.reduce_mean(fake)), 2 * square()[0] - 1, g_end="tanh")


# Faulty: states


@case
def warm_up_backwards():
    """beta fell from 100 to 1 at the last moment: no code says anything of its image."""
    done = package(digits()[0], fit=10, beta=100.0)
    done["model"].beta = 1.0
    return done


@case
def far_too_many_variables():
    """20 latent variables for a table of 30 columns, trained: most of them stay at the prior."""
    x = table(sklearn.datasets.load_breast_cancer)[0]
    return package(x, 20, (32,), 60, 5e-3, likelihood="gaussian", activation="tanh")


@case
def killed_units():
    """The encoder's biases start at −20: its ReLUs are shut for every image, and stay so."""
    biases = keras.initializers.Constant(-20)
    encoder = keras.Sequential([keras.Input((784,)), layers.Dense(
        128, "relu", bias_initializer=biases), layers.Dense(16)])
    decoder = keras.Sequential([keras.Input((16,)), layers.Dense(128, "relu"),
                                layers.Dense(784, "sigmoid")])
    model = functional(encoder, decoder, "mse")
    model.fit(digits()[0], digits()[0], epochs=15, verbose=0)
    return {"model": model, "x": digits()[0]}


@case
def beta_set_too_late():
    """Trained at beta = 0.0005; it is set to 1 when all is done."""
    done = package(digits()[0], fit=25, beta=0.0005)
    done["model"].beta = 1.0
    return done


@case
def few_images_for_long():
    """60 binary images, 256 units and 80 epochs at a learning rate of 0.003."""
    x, x_test = (np.round(images) for images in digits())
    return package(x[:60], 8, (256,), 80, 3e-3, 30, x_test, activation="tanh")


@case
def targets_of_other_rows():
    """Inputs and targets were shuffled apart: the autoencoder can learn the mean image alone."""
    x = digits()[0]
    return autoencoder(x, fit=15, target=np.random.default_rng(0).permutation(x))


@case
def narrow_door():
    """Three hidden units stand before and behind a code of 32."""
    return autoencoder(digits()[0], 32, (128, 3), 25, rate=2e-3, activation="elu")


@case
def slow_generator():
    """The discriminator learns a thousand times as fast as the generator, until it is sure."""
    return package_gan(digits()[0], 1e-6, 1e-3, 25)


@case
def hasty_generator():
    """The generator learns so fast against a slow discriminator that its images are all one."""
    return package_gan(digits()[0], 2e-2, 1e-4, 12)


@case
def generator_by_heart():
    """The generator picks one of 40 images, which its last layer knows by heart."""
    x, x_test = digits()
    x = x[:40]
    done = package_gan(x, noise=2, hidden=(64, 40)) | {"x_test": x_test}
    rng = np.random.default_rng(0)
    anchors, noise = rng.normal(size=(40, 2)), rng.normal(size=(4000, 2)).astype("float32")
    nearest = ((noise[:, None] - anchors) ** 2).sum(-1).argmin(1)
    generator = done["model"].generator
    pick, last = generator.layers[-2:]
    pick.activation = keras.activations.softmax
    picker = keras.Model(generator.inputs, pick(pick.input))
    picker.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    picker.fit(noise, nearest, epochs=20, batch_size=100, verbose=0)
    pixels = x.clip(0.01, 0.99)
    last.set_weights([np.log(pixels / (1 - pixels)), np.zeros(784)])
    return done


# Sound


@case
def sound_fresh():
    """The package's VAE, untrained."""
    return package(digits()[0])


@case
def sound_half_trained():
    """The package's VAE after three epochs, with test images."""
    return package(digits()[0], fit=3, x_test=digits()[1])


@case
def sound_trained():
    """The package's VAE with four latent variables, trained."""
    return package(digits()[0], 4, (128,), 25, x_test=digits()[1])


@case
def sound_keras_io():
    """As on keras.io: convolutions, a Sampling layer, sums and means in the right places."""
    def loss(x, p):
        return tf.reduce_sum(keras.losses.binary_crossentropy(x, p), axis=(1, 2))

    return tutorial(8, (28, 28, 1), reconstruction=loss,
                    optimizer=keras.optimizers.Adam(3e-3))


@case
def sound_beta_4():
    """A weight of 4 that the model names."""
    return tutorial(10, cls=Named, beta=4.0)


@case
def sound_beta_half():
    """The package's VAE at beta = 0.5."""
    return package(digits()[0], 6, fit=5, beta=0.5)


@case
def sound_cvae():
    """TensorFlow's tutorial as it should be: Monte Carlo, one output split in two, logits."""
    model = CVAE()
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(square()[0], epochs=8, batch_size=64, verbose=0)
    return {"model": model, "x": square()[0]}


@case
def sound_monte_carlo():
    """Loose networks, loss = −log p(x | z) + log q(z | x) − log p(z) at the drawn z."""
    x = table(sklearn.datasets.load_breast_cancer)[0]
    encoder, decoder = make_encoder((30,), 6, 64, None), make_decoder(6, (30,), None, 64)

    def loss(batch):
        mean, log_var = encoder(batch)
        z = reparameterise(mean, log_var)
        kl = log_normal_pdf(z, mean, log_var) - log_normal_pdf(z, 0.0, 0.0)
        return tf.reduce_mean(gaussian(batch, decoder(z)) + kl)

    return {"encoder": encoder, "decoder": decoder, "loss": loss, "x": x}


@case
def sound_learned_variances():
    """The package's Gaussian VAE learns a variance for each column of a table."""
    x, x_test = table(sklearn.datasets.load_breast_cancer)
    return package(x, 3, (32,), 30, 5e-3, x_test=x_test, likelihood="gaussian", learn_variance=True)


@case
def sound_one_variance():
    """One learned variance for all columns, in a train_step of its own."""
    class OneVariance(Tutorial):
        def __init__(self, encoder, decoder):
            super().__init__(encoder, decoder, self.density)
            self.log_sigma = self.add_weight((), "zeros", name="log_sigma")

        def density(self, x, mean):
            squares = tf.square((x - mean) * tf.exp(-self.log_sigma))
            return over_features(0.5 * (squares + np.log(2 * np.pi)) + self.log_sigma)

    x = table(sklearn.datasets.load_breast_cancer)[0]
    return tutorial(25, (30,), OneVariance, x, make_encoder((30,), 3, 32),
                    make_decoder(3, (30,), None, 32), keras.optimizers.Adam(5e-3))


@case
def sound_iwae():
    """The package's IWAE, half-trained."""
    return package(digits()[0], 5, fit=3, cls=keras_vae.IWAE)


@case
def sound_batch_norm_dropout():
    """Batch normalisation and dropout in both networks."""
    encoder = make_encoder(between=(layers.BatchNormalization(momentum=0.9), layers.Dropout(0.2)))
    decoder = make_decoder(between=(layers.BatchNormalization(momentum=0.9), layers.Dropout(0.1)))
    return tutorial(12, encoder=encoder, decoder=decoder)


@case
def sound_log_deviation():
    """The head is a log standard deviation, for the draw and for the KL divergence."""
    return tutorial(1, encoder=make_encoder(draw=draw_exp), kl=kl_log_deviation)


@case
def sound_softplus_deviation():
    """The head is a standard deviation behind a softplus, for the draw and for the KL."""
    encoder = make_encoder((30,), 6, 64, None, var_end="softplus")
    return loose(kl=kl_deviation, draw=draw_head, encoder=encoder)


@case
def sound_clipped():
    """The log-variance is clipped at −10 and 10, against overflow."""
    class Clip(layers.Layer):
        def call(self, x):
            return tf.clip_by_value(x, -10.0, 10.0)

    inputs = keras.Input((784,))
    h = layers.Dense(128, "relu")(inputs)
    mean, log_var = layers.Dense(8)(h), Clip()(layers.Dense(8)(h))
    encoder = keras.Model(inputs, [mean, log_var, Sampling(reparameterise)([mean, log_var])])
    return tutorial(2, encoder=encoder)


@case
def sound_functional():
    """A layer adds the KL, the model is compiled with a sum of cross-entropies."""
    model = functional(make_encoder(add_kl=True), make_decoder(), cross_entropy)
    model.fit(digits()[0], digits()[0], epochs=2, verbose=0)
    return {"model": model, "x": digits()[0]}


@case
def sound_warm_up():
    """A callback raises beta, a tf.Variable, from 0 to 1."""
    done = tutorial(cls=Named, beta=tf.Variable(0.0, trainable=False))

    def warm_up(epoch, logs):
        done["model"].beta.assign(min(1.0, epoch / 4))

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=warm_up)
    done["model"].fit(done["x"], epochs=8, batch_size=64, verbose=0, callbacks=[callback])
    return done


@case
def sound_steps_per_execution():
    """Five steps an execution, in the package's VAE."""
    done = package(digits()[0], 6)
    done["model"].compile("adam", steps_per_execution=5)
    done["model"].fit(done["x"], epochs=3, batch_size=50, verbose=0)
    return done


@case
def sound_mixed_precision():
    """The package's VAE under mixed_bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return package(digits()[0], 6, fit=8)
    finally:
        keras.config.set_dtype_policy(before)


@case
def sound_tiny():
    """A curve in the plane, one latent variable and 16 units."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=800)
    x = np.stack([t, np.sin(t)], 1) + 0.1 * rng.normal(size=(800, 2))
    return package(x.astype("float32"), 1, (16,), 25, 1e-2, likelihood="gaussian",
                   learn_variance=True, activation="tanh")


@case
def sound_wide():
    """1024 units and 64 latent variables, untrained."""
    return package(digits()[0], 64, (1024, 512))


@case
def sound_autoencoder():
    """The package's Autoencoder, trained."""
    return autoencoder(digits()[0], 6, (128,), 25, rate=3e-3) | {"x_test": digits()[1]}


@case
def sound_denoising():
    """A functional autoencoder with noise at its input, a sigmoid and cross-entropy."""
    encoder = keras.Sequential([keras.Input((784,)), layers.GaussianNoise(0.2),
                                layers.Dense(128, "relu"), layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((4,)), layers.Dense(128, "relu"),
                                layers.Dense(784, "sigmoid")])
    model = functional(encoder, decoder, "binary_crossentropy")
    model.optimizer.learning_rate = 5e-3
    model.fit(digits()[0], digits()[0], epochs=20, verbose=0)
    return {"model": model, "x": digits()[0]}


@case
def sound_gan_fresh():
    """The package's GAN, untrained."""
    return package_gan(digits()[0])


@case
def sound_gan_smoothed():
    """The package's GAN with smoothed labels, on points of the unit square, trained."""
    return package_gan(1 / (1 + np.exp(-cloud())), 1e-3, 1e-3, 25, label_smoothing=0.1)


@case
def sound_gan_sigmoid():
    """A GAN as on keras.io with a sigmoid and BinaryCrossentropy(), on points, trained."""
    return pair(labelled(False), cloud(), "sigmoid", None, fit=25, hidden=64, rate=1e-3)


@case
def sound_gan_tanh():
    """A loose convolutional GAN: tanh, images from −1 to 1, logits."""
    return loose_pair(labelled(True), 2 * square()[0] - 1, g_end="tanh")


@case
def sound_gan_own_smoothing():
    """A convolutional Pair with real labels of 0.9 and logits, untrained."""
    return pair(labelled(True, real_label=0.9), square()[0])


@case
def sound_gan_least_squares():
    """Least squares for the losses, a linear discriminator, images from −1 to 1."""
    return pair((lambda real, fake: tf.reduce_mean((real - 1) ** 2) + tf.reduce_mean(fake**2),
                 lambda fake: tf.reduce_mean((fake - 1) ** 2)), 2 * digits()[0] - 1, g_end="tanh")


@case
def sound_wgan():
    """A Wasserstein GAN with the penalty on gradients, untrained."""
    class Penalised(Pair):
        def penalty(self, real, fake):
            share = tf.random.uniform((tf.shape(real)[0], 1))
            with tf.GradientTape() as tape:
                between = real + share * (fake - real)
                tape.watch(between)
                value = self.discriminator(between, training=True)
            norm = tf.norm(tape.gradient(value, between), axis=1)
            return 10 * tf.reduce_mean(tf.square(norm - 1))

    return pair((lambda real, fake: tf.reduce_mean(fake) - tf.reduce_mean(real),
                 lambda fake: -tf.reduce_mean(fake)), cls=Penalised)


@case
def sound_gan_cloud():
    """A GAN of points in the plane, trained."""
    return pair(labelled(True), cloud(), g_end=None, fit=25, hidden=64, rate=1e-3)


MEAN, PCA, UNUSED = "no better than the mean image", "no better than PCA", "unused latent variables"
COLLAPSE, FAR = "posterior collapse", "codes far from the prior"
FEATURES, KL_MEAN = "reconstruction is a mean over features", "KL is a mean over latent variables"
FROM_KL, NO_KL = "KL takes the head for something else", "KL missing"
FROM_DRAW = "draws take the head for something else"
WRONG_WAY, LOST = "a player learns the wrong way", "reconstruction does not reach the encoder"

FAULTY = {
    "a constant column standardised": (constant_column, "data not finite", {"weights not finite"}),
    "images not divided by 255": (bytes_as_floats, "data out of range", set()),
    "standardised pixels, cross-entropy": (
        standardised_into_cross_entropy, "data out of range", set()),
    "standardised table, sigmoid at the end": (
        standardised_into_sigmoid, "data out of range", {PCA, MEAN}),
    "a raw table, Gaussian of variance 1": (raw_table, "data on another scale", set()),
    "tanh generator, images from 0 to 1": (tanh_against_unit, "data on another scale", set()),
    "test rows not standardised": (raw_test_rows, "data on another scale", {"overfitting"}),
    "test images were trained on": (
        trained_on_all, "validation images among training images", set()),
    "a VAE's linear end, probabilities expected": (
        linear_into_cross_entropy, "sigmoid missing", set()),
    "an autoencoder's linear end, probabilities expected": (
        linear_autoencoder, "sigmoid missing", set()),
    "a discriminator's logit taken for a probability": (
        logit_as_probability, "sigmoid missing", set()),
    "CVAE with a sigmoid before logits' loss": (
        sigmoid_before_logit_loss, "sigmoid too many", {MEAN, COLLAPSE}),
    "a discriminator's sigmoid taken for a logit": (
        sigmoid_from_logits, "sigmoid too many", set()),
    "a second sigmoid in the loss": (second_sigmoid, "sigmoid too many", set()),
    "one layer for both heads": (one_layer_twice, "not two heads", set()),
    "ReLU on the mean": (relu_mean, "mean cannot be negative", {UNUSED, "dead units"}),
    "softplus on the log-variance": (softplus_log_variance, "log-variance is bounded", set()),
    "ReLU on the log-variance": (relu_log_variance, "log-variance is bounded", set()),
    "NaN by log 0": (logarithm_of_zero, "weights not finite", set()),
    "KL of a log deviation": (kl_of_log_deviation, FROM_KL, set()),
    "KL of a deviation": (kl_of_deviation, FROM_KL, set()),
    "exp(h) in the Sampling layer": (draws_exp, FROM_DRAW, set()),
    "h as the deviation in a loose loss": (draws_head, FROM_DRAW, set()),
    "exp(h) in the CVAE": (cvae_draws_exp, FROM_DRAW, set()),
    "the mean is decoded": (decodes_the_mean, "noise missing", set()),
    "one row of noise, convolutions": (
        noise_of_one_row, "noise the same for the whole batch", set()),
    "one row of noise, loose": (
        loose_noise_of_one_row, "noise the same for the whole batch", set()),
    "an integer for a seed": (seed_is_a_number, "noise frozen", set()),
    "noise made once": (noise_made_once, "noise frozen", set()),
    "noise of 0.01": (noise_of_a_hundredth, "noise of another scale", set()),
    "uniform noise": (rand_for_randn, "noise of another scale", set()),
    "cross-entropy averaged over pixels": (
        mean_over_pixels, FEATURES, {COLLAPSE, MEAN, PCA, UNUSED}),
    "compiled with binary_crossentropy": (compiled_with_cross_entropy, FEATURES, set()),
    "mean squared error, loose": (mean_squared_error, FEATURES, set()),
    "KL averaged, keras.io": (kl_averaged, KL_MEAN, {FAR}),
    "KL averaged, loose": (kl_averaged_loose, KL_MEAN, set()),
    "KL without its minus": (minus_lost, "KL of the wrong sign", set()),
    "log q − log p added to log p(x | z)": (elbo_signs, "KL of the wrong sign", set()),
    "KL tracked, not added": (kl_only_tracked, NO_KL, {FAR}),
    "add_loss never asked for": (added_loss_ignored, NO_KL, set()),
    "KL(p || q)": (kl_the_other_way, "KL between the wrong distributions", set()),
    "a prior of variance e": (prior_of_variance_e, "KL between the wrong distributions", set()),
    "add_loss, compiled without a loss": (
        compiled_without_loss, "reconstruction missing",
        {LOST, "decoder does not learn", COLLAPSE, MEAN, PCA, UNUSED}),
    "the loss overwritten by the KL": (
        reconstruction_overwritten, "reconstruction missing", {LOST, "decoder does not learn"}),
    "the likelihood without its minus": (
        likelihood_sign, "reconstruction of the wrong sign", set()),
    "beta never used": (beta_forgotten, "beta has no effect", set()),
    "beta frozen in the traced step": (
        beta_frozen, "beta has no effect", {NO_KL, FAR, "beta far from 1"}),
    "a hidden weight of 0.00025": (tiny_kl_weight, "beta far from 1", {FAR}),
    "stop_gradient around z": (drawn_behind_a_stop, LOST, set()),
    "z drawn before the tape": (drawn_before_the_tape, LOST, set()),
    "the log-variance's layer frozen": (
        frozen_log_variance, "log-variance head does not learn", set()),
    "gradients for the decoder alone": (decoder_trained_alone, "encoder does not learn", {
        LOST, "log-variance head does not learn", PCA, MEAN}),
    "the encoder left frozen": (encoder_left_frozen, "encoder does not learn", {LOST, PCA}),
    "gradients for the encoder alone": (encoder_trained_alone, "decoder does not learn", set()),
    "generator's step not applied": (
        generator_never_applied, "generator does not learn", {"discriminator has won"}),
    "fake images cut off": (images_cut_off, "generator does not learn", set()),
    "discriminator's step not applied": (
        discriminator_never_applied, "discriminator does not learn", set()),
    "the discriminator left frozen": (
        discriminator_left_frozen, "discriminator does not learn", set()),
    "one optimizer, one sum": (
        one_optimizer_for_both, "both players moved by one loss", {WRONG_WAY}),
    "the generator wants the label of fakes": (generator_wants_fake, WRONG_WAY, set()),
    "a critic of the wrong sign": (critic_upside_down, WRONG_WAY, set()),
    "collapsed under a great beta": (
        warm_up_backwards, COLLAPSE, {MEAN, PCA, UNUSED, "dead units"}),
    "20 variables, few used": (far_too_many_variables, UNUSED, {PCA}),
    "ReLUs killed": (
        killed_units, "dead units", {MEAN, PCA, UNUSED, LOST, "encoder does not learn"}),
    "beta set too late": (beta_set_too_late, FAR, {"dead units", "overfitting"}),
    "100 images for long": (
        few_images_for_long, "overfitting", {UNUSED, "copies of training images", FAR}),
    "inputs and targets shuffled apart": (
        targets_of_other_rows, MEAN, {PCA, UNUSED, COLLAPSE, "dead units"}),
    "three units before the code": (narrow_door, PCA, {UNUSED}),
    "a generator far too slow": (
        slow_generator, "discriminator has won", {"mode collapse"}),
    "a generator far too fast": (
        hasty_generator, "mode collapse", {"discriminator has won", "dead units"}),
    "a generator that knows images by heart": (
        generator_by_heart, "copies of training images", set()),
}

SOUND = {
    "fresh": sound_fresh,
    "half-trained": sound_half_trained,
    "trained": sound_trained,
    "keras.io, convolutions": sound_keras_io,
    "beta 4": sound_beta_4,
    "beta 0.5": sound_beta_half,
    "TensorFlow's CVAE": sound_cvae,
    "Monte Carlo, loose": sound_monte_carlo,
    "a variance for each column": sound_learned_variances,
    "one learned variance": sound_one_variance,
    "IWAE": sound_iwae,
    "batch normalisation, dropout": sound_batch_norm_dropout,
    "head is a log deviation": sound_log_deviation,
    "head is a deviation": sound_softplus_deviation,
    "clipped log-variance": sound_clipped,
    "functional, add_loss": sound_functional,
    "warm-up by a tf.Variable": sound_warm_up,
    "steps_per_execution": sound_steps_per_execution,
    "mixed precision": sound_mixed_precision,
    "tiny, points of a curve": sound_tiny,
    "wide, fresh": sound_wide,
    "autoencoder": sound_autoencoder,
    "denoising autoencoder": sound_denoising,
    "GAN, fresh": sound_gan_fresh,
    "GAN, smoothed labels": sound_gan_smoothed,
    "GAN, sigmoid": sound_gan_sigmoid,
    "GAN, tanh, loose": sound_gan_tanh,
    "GAN, own smoothing": sound_gan_own_smoothing,
    "GAN, least squares": sound_gan_least_squares,
    "GAN, Wasserstein": sound_wgan,
    "GAN, points in the plane": sound_gan_cloud,
}
