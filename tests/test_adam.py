"""FusedAdam against Keras's Adam, and against the algorithm written in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_autoencoder, small_gan, small_vae

from keras_vae import FusedAdam

SETTINGS = dict(learning_rate=0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-5)


def test_five_steps_are_those_of_the_algorithm():
    rng = np.random.default_rng(0)
    w, gradients = rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 3))
    variable = keras.Variable(w.astype("float32"))
    optimizer = FusedAdam(**SETTINGS)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, g in enumerate(gradients, start=1):
        optimizer.apply([tf.constant(g, "float32")], [variable])
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        # ε is added after the scale was corrected, as in the paper's last remark of §2.
        alpha = 0.01 * np.sqrt(1 - 0.95**step) / (1 - 0.8**step)
        w = w - alpha * m / (np.sqrt(v) + 1e-5)
        np.testing.assert_allclose(variable.numpy(), w, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("extra", [{}, {"amsgrad": True}, {"clipnorm": 0.1}, {"weight_decay": 0.1}])
@pytest.mark.parametrize("make", [small_vae, small_autoencoder])
def test_a_training_equals_keras(make, extra, x):
    found = []
    for kind in (keras.optimizers.Adam, FusedAdam):
        keras.utils.set_random_seed(0)
        model = make(seed=0) if make is small_vae else make()
        model.compile(kind(**SETTINGS, **extra), **({} if make is small_vae else {"loss": "mse"}))
        target = () if make is small_vae else (x,)
        model.fit(x, *target, epochs=5, batch_size=16, shuffle=False, verbose=0)
        found.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_it_is_one_operation_a_weight(x):
    model = small_autoencoder()
    model.compile(FusedAdam(), loss="mse")
    model.fit(x, x, epochs=1, verbose=0)
    step = tf.function(lambda: model.optimizer.apply(
        [tf.zeros(w.shape) for w in model.trainable_weights], model.trainable_weights
    ))
    operations = [op.type for op in step.get_concrete_function().graph.get_operations()]
    assert operations.count("ResourceApplyAdam") == len(model.trainable_weights)
    assert "Sqrt" not in operations  # nothing of Keras's own update is left


def test_saving_keeps_its_state_and_keras_reads_its_weights(x, tmp_path):
    model = small_vae(seed=0)
    model.compile(FusedAdam(0.01))
    model.fit(x, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded.optimizer) is FusedAdam
    for model_ in (model, loaded):
        model_.fit(x, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_it_trains_a_gan_and_under_a_strategy(x):
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        gan = small_gan(seed=0)
        gan.compile(FusedAdam(0.01), FusedAdam(0.01))
    before = [w.copy() for w in gan.get_weights()]
    gan.fit(x, epochs=1, verbose=0)
    assert all((old != new).any() for old, new in zip(before[:4], gan.get_weights()[:4]))


def test_it_works_with_float16_scaling_and_xla(x):
    model = small_autoencoder()
    model.compile(
        keras.optimizers.LossScaleOptimizer(FusedAdam(0.01)), loss="mse", jit_compile=True
    )
    losses = model.fit(x, x, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
