import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the first import of TensorFlow
os.environ.setdefault("MPLBACKEND", "Agg")
# The tests run in two processes: a thread each is a fifth faster on two cores than two each.
for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS",
             "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_vae  # noqa: E402

# Files and tests that take longer: they train for minutes, start processes or a browser. All others
# are marked quick.
SLOW = {
    "test_distributed",
    "test_errata",
    "test_explorer",
    "test_interrupted",
    "test_runner",
    "test_site",
    "test_start_check",
    "test_tutorials",
    "test_a_fresh_process_predicts_the_same_and_resumes_to_the_bit",
    "test_a_sketch_trains_as_the_class_does",
    "test_an_answer_whose_code_raises_fails_the_chapters_test",
    "test_chapter_4s_sketch_trains_alone_in_an_empty_folder",
    "test_codes_of_rank_3",
    "test_elbo_is_minus_the_vaes_loss_at_beta_1",
    "test_evaluate_agrees_with_the_measure_and_lies_below_the_vaes_loss",
    "test_every_command_that_a_page_shows_is_accepted",
    "test_every_network_gives_the_losses_of_numpy_and_trains",
    "test_fit_lowers_the_loss_and_saving_keeps_everything",
    "test_floats_of_any_precision_are_taken",
    "test_it_is_exported_when_made_when_trained_and_when_loaded",
    "test_it_learns_a_distribution_of_two_points",
    "test_learned_variances_reach_factor_analysis_and_samples_have_the_spread_of_data",
    "test_mixed_precision_trains_and_saves",
    "test_of_two_runs_of_a_chapter_at_once_the_second_is_refused",
    "test_sample_quality_of_copies_and_of_one_class",
    "test_the_class_works_alone_in_an_empty_folder",
    "test_the_vaes_measures_take_what_is_like_an_array",
    "test_training_lowers_the_loss_and_a_high_beta_lowers_the_kl",
    "test_two_replicas_train_like_one_and_draw_different_noise",
    "test_works_without_a_display",
    "test_xla_and_several_steps_an_execution_train_the_same",
}


def pytest_collection_modifyitems(items):
    # The longest first, so that at the end no process is left alone with one of them.
    items.sort(key=lambda item: item.path.stem != "test_tutorials")
    for item in items:
        if not {item.path.stem, item.originalname} & SLOW:
            item.add_marker("quick")


@pytest.fixture(autouse=True)
def seeded():
    """Start every test from the same random state and the default precision."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def x():
    """64 small "images" of 12 pixels in [0, 1]."""
    return np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")


def small_autoencoder():
    return keras_vae.Autoencoder(
        keras_vae.dense_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (8,), 12, "sigmoid")
    )


def small_vae(**kwargs):
    return keras_vae.VAE(
        keras_vae.gaussian_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (8,), 12), **kwargs
    )


def small_conditional(**kwargs):
    return keras_vae.ConditionalVAE(
        keras_vae.gaussian_encoder(15, (8,), 2), keras_vae.dense_decoder(5, (8,), 12), 3, **kwargs
    )


def small_semisupervised(**kwargs):
    return keras_vae.SemisupervisedVAE(
        keras_vae.gaussian_encoder(15, (8,), 2), keras_vae.dense_decoder(5, (8,), 12),
        keras_vae.dense_encoder(12, (8,), 3), **{"num_classes": 3, **kwargs}
    )


def small_vade(covariance_type="full", **kwargs):
    networks = keras_vae.gaussian_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (8,), 12)
    return keras_vae.VaDE(*networks, 4, covariance_type, **kwargs)


def small_gan(**kwargs):
    return keras_vae.GAN(
        keras_vae.dense_generator(5, (8,), 12), keras_vae.dense_discriminator(12, (8,)), **kwargs
    )


def state(model):
    """Return every number that training changes: weights, seeds, and the optimizers' own."""
    optimizers = [model.optimizer, getattr(model, "d_optimizer", None)]
    parts = [model, *filter(None, optimizers)]
    return [keras.ops.convert_to_numpy(v) for part in parts for v in part.variables]


def assert_equal(arrays, others):
    """Assert that two lists of arrays are equal to the bit."""
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(a, b)


def slope_and_gradient(model, losses):
    """Return the slope of the mean of `losses()` along a random direction, by central differences,
    and what the gradient says that it is."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(losses())
    gradients = tape.gradient(loss, [v.value for v in variables])
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=v.shape) for v in variables]
    start = [v.numpy() for v in variables]
    values = []
    for step in (1e-5, -1e-5):
        for v, value, direction in zip(variables, start, directions, strict=True):
            v.assign(value + step * direction)
        values.append(float(tf.reduce_mean(losses())))
    gradient = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    return (values[0] - values[1]) / 2e-5, gradient
