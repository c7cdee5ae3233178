"""What is wrong with a generative model, by numbers.

No rule reads code. A model's own training step is run on weights of our choice (`probe`), and what
comes out is compared with what the formulas give (`formulas`): `vae`, `gan`, and `common` for both.
`findings` has the texts.
"""

import numpy as np

from keras_vae.doctor.common import of_data, of_weights
from keras_vae.doctor.findings import LEVELS, TEXTS, Finding, found
from keras_vae.doctor.gan import of_a_gan
from keras_vae.doctor.probe import Probe
from keras_vae.doctor.vae import of_a_vae

__all__ = ["Finding", "diagnose"]


def diagnose(model=None, x=None, x_test=None, *, encoder=None, decoder=None, generator=None,
             discriminator=None, loss=None, step=None, raise_on=None):
    """Look for what is wrong with a model, print what was found, and return it, worst first.

    Nothing is trained, and nothing stays changed: weights, optimizers, the model's own seeds, and
    those of Python and NumPy are put back to the bit.

    Args:
        model: Of this package; or any Keras model with attributes encoder and decoder, or generator
            and discriminator; or any whose networks are given. None with loose networks.
        x: Training data as `fit` gets them, an array or a tuple of arrays; at most 512 are used in
            a step.
        x_test: Other data of the same shape, or None.
        encoder, decoder, generator, discriminator: Networks of one input each, in place of the
            model's. The encoder puts out mean and log-variance, in this order, or both in one.
        loss: With loose networks, a function of a batch: the loss, or (d_loss, g_loss).
        step: In its place, a function that trains on a batch, by optimizers of Keras.
        raise_on: "error", "warning" or "note": raise if there is a finding of this level or worse.

    Returns:
        A list of Finding; empty, or of notes only, for a sound model.

    Raises:
        ValueError: No data or no networks, or networks that are not built; with raise_on, what was
            found.
    """
    if raise_on not in (None, *LEVELS):
        raise ValueError(f"raise_on must be one of {LEVELS} or None, got {raise_on!r}")
    given = {"encoder": encoder, "decoder": decoder, "generator": generator,
             "discriminator": discriminator}
    networks = {role: getattr(model, role, None) if given[role] is None else given[role]
                for role in given}
    networks = {role: network for role, network in networks.items() if network is not None}
    pair = [p for p in (("encoder", "decoder"), ("generator", "discriminator")) if
            all(role in networks for role in p)]
    if not pair:
        raise ValueError("there must be an encoder and a decoder, or a generator and a "
                         f"discriminator, of the model or by themselves; got {list(networks)}")
    networks = {role: networks[role] for role in pair[0]}
    for role, network in networks.items():
        if not network.built:
            raise ValueError(f"{role} must be built: call it, or fit the model, on a batch first")
    data, test = arrays(x, "x"), arrays(x_test, "x_test")
    if data is None:
        raise ValueError("there must be data: x is None")
    look = of_a_gan if pair[0] == ("generator", "discriminator") else of_a_vae
    several = [role for role, n in networks.items() if len(getattr(n, "inputs", None) or "x") > 1]
    findings = [*of_data(data, test), *of_weights(networks, data[0])]
    if several:
        value = f"the {several[0]} takes more than one input"
        findings.append(found("not looked at", "warning", value, "one array"))
    elif not {"data not finite", "weights not finite"} & {f.name for f in findings}:
        findings += look(networks, model, Probe(networks, model, loss, step), data, test)
    names = list(TEXTS)
    findings.sort(key=lambda f: (LEVELS.index(f.level), names.index(f.name)))
    show(findings, model)
    bad = LEVELS[: LEVELS.index(raise_on) + 1] if raise_on else ()
    if any(f.level in bad for f in findings):
        raise ValueError("; ".join(f"{f.name}: {f.value}" for f in findings if f.level in bad))
    return findings


def arrays(x, name):
    """Return x as a tuple of arrays of one length, or None."""
    if x is None:
        return None
    parts = tuple(np.asarray(part) for part in (x if isinstance(x, (tuple, list)) else (x,)))
    if any(part.dtype == object or part.ndim == 0 for part in parts) or not len(parts[0]):
        raise ValueError(f"{name} must be an array, or a tuple of arrays, of at least one example; "
                         "of a tf.data pipeline take one great batch")
    if len({len(part) for part in parts}) > 1:
        raise ValueError(f"{name} must be of one length, got {[len(part) for part in parts]}")
    return parts


def show(findings, model):
    """Print the findings as a table."""
    what = type(model).__name__ if model is not None else "the networks"
    if not findings:
        print(f"{what}: nothing was found")
    for f in findings:
        print(f"{f.level:8} {f.name}: {f.value}{f' (sound: {f.sound})' if f.sound else ''}")
        print(f"         {f.meaning} {f.remedy}{f' [{f.see}]' if f.see else ''}")
    if any(f.see for f in findings):
        print("[A…]: tutorials/errata.md; [C-…]: docs/circulating.md; [gallery], [bug]: "
              "tutorials/failure_gallery.py, find_the_bug_answers.md")
