"""Every number of docs/circulating.md, computed in NumPy: what is written, and what was meant."""

import math
import pathlib
import re
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "circulating.md"
LOG_2PI = math.log(2 * math.pi)


def entry(name):
    """Return the text of an entry of the page, on one line."""
    text = PAGE.read_text(encoding="utf-8")
    return " ".join(re.search(rf"^## {name}\n(.*?)(?=^## )", text, re.M | re.S)[1].split())


def says(name, *numbers):
    """Assert that an entry of the page holds these numbers, in this order."""
    text = entry(name)
    for number in numbers:
        assert number in text, (name, number)
        text = text.partition(number)[2]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def kl_terms(mu, log_var):
    return -0.5 * (1 + log_var - mu**2 - np.exp(log_var))


def test_every_entry_names_a_commit_and_has_its_test():
    page = PAGE.read_text(encoding="utf-8")
    names = re.findall(r"^## (C-\d+)$", page, re.M)
    tests = re.findall(r"^def test_c_(\d+)_", pathlib.Path(__file__).read_text("utf-8"), re.M)
    assert names == [f"C-{number}" for number in tests] and len(names) >= 6
    for name in names:
        text = entry(name)
        assert re.search(r"https://github\.com/[\w.-]+/[\w.-]+/blob/[0-9a-f]{40}/", text), name
        for part in ("where", "does", "means", "costs"):
            assert f"- **{part}** " in text, (name, part)


def test_the_table_of_conventions(rng):
    pixels, latents, a, b = 784, 20, 1.7, 0.3
    errors, kl = rng.uniform(size=(5, pixels)), rng.uniform(size=(5, latents))
    total, summed = errors.sum(axis=1), kl.sum(axis=1)
    for loss, beta, scale in (
        (a * total + b * summed, b / a, a),
        (a * errors.mean(axis=1) + b * summed, pixels * b / a, a / pixels),
        (a * total + b * kl.mean(axis=1), b / (a * latents), a),
        (a * errors.mean(axis=1) + b * kl.mean(axis=1), pixels * b / (a * latents), a / pixels),
    ):
        np.testing.assert_allclose(loss / scale, total + beta * summed)
    for loss, variance in (  # in each, the squared error over the KL is 1 / (2 s²)
        (total + summed, 1 / 2),
        (total / 2 + summed, 1),
        ((errors.mean(axis=1) + a * summed) / a, pixels * a / 2),
        (a * errors.mean(axis=1) + summed, pixels / (2 * a)),
    ):
        np.testing.assert_allclose(loss, total / (2 * variance) + summed)
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"\| ([\d.]+) \| ([\d.]+) \|$", page, re.M)
    assert rows == [("1", "1"), ("784", "784"), ("0.5", "0.05"), ("392", "39.2")]


def test_c_1_a_mean_over_latent_variables_divides_beta_by_their_number(rng):
    for d, number in ((2, "0.5"), (20, "0.05")):
        terms = kl_terms(*rng.normal(size=(2, 64, d)))
        assert terms.mean() == pytest.approx(terms.sum(axis=1).mean() / d)
        assert float(number) == 1 / d
    says("C-1", "0.5", "0.05")


def test_c_2_two_means_two_meanings_and_less_noise():
    beta = 784 / 2
    assert beta == 392 and beta * 0.01**2 == pytest.approx(0.0392)
    v = -1.0  # log σ² in the KL, log σ where z is drawn
    in_the_loss, of_the_draw = kl_terms(0.0, v), kl_terms(0.0, 2 * v)
    assert (round(in_the_loss, 3), round(of_the_draw, 3)) == (0.184, 0.568)
    # z = 0.01 z': the KL's term of the mean, ½ μ², is 10⁻⁴ of what it is in z'.
    assert kl_terms(0.01 * 3.0, 0.0) == pytest.approx(1e-4 * kl_terms(3.0, 0.0))
    says("C-2", "392", "0.184", "0.568", "0.039", "392")


def test_c_3_the_kl_of_what_is_drawn(rng):
    c = 0.01
    gap = kl_terms(0.0, 2 * math.log(c)) - kl_terms(0.0, 0.0)
    draws = c * rng.normal(size=200_000)
    densities = scipy.stats.norm(0, c).logpdf(draws) - scipy.stats.norm(0, 1).logpdf(draws)
    assert gap == pytest.approx(densities.mean(), abs=0.01)
    assert round(gap, 3) == 4.105 and round(292 * gap) == 1199
    says("C-3", "292", "4.105", "1199")


def logit_loss(target, logit):
    """Return the cross-entropy of a logit against a target that may lie outside of [0, 1]."""
    return np.logaddexp(0, logit) - target * logit


def test_c_4_labels_above_1():
    target = 1 + 0.05 / 2  # the mean: the cross-entropy is linear in it
    slope = scipy.special.expit(40.0) - target
    assert slope == pytest.approx(-0.025)
    assert logit_loss(target, 1000.0) < 0 < logit_loss(1.0, 1000.0) + 1e-12
    ratios = np.array([38.9, 39.1])  # q / p
    best = (1.025 * ratios + 0.025) / (1 + ratios)
    assert best[0] < 1 < best[1]
    says("C-4", "1.025", "0.025", "39", "0.025")


def test_c_5_labels_outside_on_both_sides():
    for ratio, outside in ((20.9, False), (21.1, True)):  # p / q, and the other way
        best = np.array([1.05 * ratio - 0.05, 1.05 - 0.05 * ratio]) / (1 + ratio)
        assert (best[0] > 1) == outside == (best[1] < 0)
    assert round(scipy.special.logit(0.95), 2) == 2.94
    says("C-5", "21", "2.94")


def test_c_6_points_off_the_line(rng):
    off = 1 - (scipy.stats.norm.cdf(1) - scipy.stats.norm.cdf(0))
    alpha = rng.normal(size=100_000)
    assert np.mean((alpha < 0) | (alpha > 1)) == pytest.approx(off, abs=0.005)
    assert round(100 * off, 1) == 65.9 and np.mean(alpha < 0) == pytest.approx(0.5, abs=0.005)
    says("C-6", "65.9")


def test_c_7_a_norm_for_each_column(rng):
    gradient = rng.normal(size=(28, 28))
    gradient /= np.linalg.norm(gradient, axis=0)  # what the penalty asks for
    assert np.linalg.norm(gradient) == pytest.approx(math.sqrt(28))
    assert round(math.sqrt(28), 2) == 5.29
    says("C-7", "28", "5.29")


def test_c_8_the_dearest_draw_weighs_most(rng):
    exact = scipy.stats.norm(0, math.sqrt(2)).logpdf(1.0)
    costs = 0.5 * ((1 - rng.normal(size=(200_000, 50))) ** 2 + LOG_2PI)  # q is the prior
    meant = np.mean(math.log(50) - scipy.special.logsumexp(-costs, axis=1))
    written = np.mean(np.sum(scipy.special.softmax(costs, axis=1) * costs, axis=1))
    assert -exact < meant < costs.mean() < written
    rounded = [f"−{value:.2f}" for value in (meant, costs.mean(), written)]
    assert round(-exact, 4) == 1.5155
    # The true posterior N(1/2, 1/2): with its densities each draw gives log p(x), and with the
    # closed form of the KL the right formula lies above it.
    z = 0.5 + math.sqrt(0.5) * rng.normal(size=(20_000, 50))
    of_x, kl = -0.5 * ((1 - z) ** 2 + LOG_2PI), kl_terms(0.5, math.log(0.5))
    ratio = scipy.stats.norm(0.5, math.sqrt(0.5)).logpdf(z) - scipy.stats.norm(0, 1).logpdf(z)
    np.testing.assert_allclose(of_x - ratio, exact)
    closed = np.mean(scipy.special.logsumexp(of_x - kl, axis=1)) - math.log(50)
    assert exact < closed
    says("C-8", "−1.5155", *rounded, f"−{-closed:.2f}", "12 288")


def test_c_9_one_weight_for_training_and_another_for_choosing():
    assert 1 / 0.00025 == 4000
    variance = 12_288 * 0.00025 / 2
    assert variance == pytest.approx(1.536) and round(math.sqrt(variance), 2) == 1.24
    assert 3 * 64 * 64 == 12_288
    says("C-9", "0.00025", "12 288", "4000", "1.536", "1.24")


def test_c_10_a_mixing_weight_for_each_dimension():
    d = k = 10
    assert round(1.5**d, 1) == 57.7 and 0.1**d == pytest.approx(1e-10)
    centres = 3 * np.eye(k)  # of variance 1, seen from the first of them
    logs = -0.5 * np.sum((centres - centres[0]) ** 2 + LOG_2PI, axis=1)
    written = np.exp(logs + d * math.log(0.1)) + 1e-10
    right = scipy.special.softmax(logs)  # π alike
    assert round(written[0] / written.sum(), 5) == 0.10001 and round(right[0], 4) == 0.9989
    gamma, pi = right, np.full(k, 0.1)
    twice = -np.sum(gamma * np.log(2 * pi)) + np.sum(gamma * np.log(pi))
    assert twice == pytest.approx(-math.log(2))
    assert round(0.5 * d * d * LOG_2PI, 2) == 91.89
    says("C-10", "57.7", "0.10001", "0.9989", "91.89")


def test_c_11_epsilon_for_momentum(rng):
    x = 0.1 * rng.normal(size=100_000)
    normed = (x - x.mean()) / np.sqrt(x.var() + 0.8)
    assert round(normed.std(), 2) == 0.11
    says("C-11", "0.8", "0.2", "0.01", "0.11")


def test_c_12_purity_is_no_accuracy():
    counts = 100 * np.eye(10)  # rows: digits; columns: clusters
    counts[0, 0] = counts[0, 9] = 50  # one digit in two clusters
    counts[9, 9], counts[9, 8] = 0, 100  # two digits in one
    purity = counts.max(axis=0).sum() / counts.sum()
    best = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    assert purity == 0.9 and counts[best].sum() / counts.sum() == 0.85
    says("C-12", "90 %", "85 %", "2.5")


def test_freezing_acts_at_once_under_keras_3():
    """Compiled, then frozen: the discriminator of old GANs takes a step and stands still."""
    import keras

    discriminator = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    discriminator.compile("sgd", "binary_crossentropy")
    discriminator.trainable = False
    before = discriminator.get_weights()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras may say that nothing is left to train
        discriminator.train_on_batch(np.ones((8, 4)), np.ones((8, 1)))
    for a, b in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
