"""Semi-supervised VAE (M2): it learns from images with and without labels, and classifies."""

import keras
import numpy as np
import tensorflow as tf

from keras_vae.conditional import ConditionalVAE


@keras.saving.register_keras_serializable(package="keras_vae")
class SemisupervisedVAE(ConditionalVAE):
    """Conditional VAE with a classifier q(y | x), which stands in where a label is missing.

    `fit` takes x and y, where y = −1 means "no label". L(x, y) is minus the bound on log p(x | y);
    w is a label's one-hot row where there is a label, and q(y | x) where there is none; the K
    classes are equally probable beforehand. An example's loss is minus the bound on log p(x, y), or
    on log p(x), and the cross-entropy of its label:

    loss = Σ_y w_y L(x, y) + log K + Σ_y w_y log w_y + alpha · [labelled] (−log q(y | x))

    at beta = 1. kl_loss holds log K and the term of w, too, so that beta weighs them.

    Args:
        encoder, decoder, num_classes: As of `ConditionalVAE`.
        classifier: Functional or Sequential, x → logits, (batch, num_classes).
        alpha: Weight of the cross-entropy: the bound alone trains q(y | x) on no label.
        **kwargs: beta, likelihood, learn_variance and seed, as of `VAE`.

    Raises:
        ValueError: The classifier does not fit, or alpha is negative. Also what `ConditionalVAE`
            raises.

    Source: Kingma et al. 2014, eq. 6 to 9: there alpha is 0.1 times the number of all images, over
    the number of labelled ones, per labelled image.
    """

    least_label = -1  # of fit and evaluate: no label

    def __init__(self, encoder, decoder, classifier, alpha=1.0, num_classes=10, **kwargs):
        self.classifier = classifier  # before the model is built
        super().__init__(encoder, decoder, num_classes, **kwargs)
        shapes = classifier.input_shape, classifier.output_shape
        wanted = decoder.output_shape, (None, self.num_classes)
        if shapes != wanted:
            raise ValueError(f"classifier must be {wanted[0]} → {wanted[1]}, got {shapes}")
        end = getattr(classifier.layers[-1], "activation", keras.activations.linear)
        if end is not keras.activations.linear:
            raise ValueError("classifier must put out logits: leave its softmax out")
        if not 0 <= alpha < np.inf:
            raise ValueError(f"alpha must be a number of at least 0, got {alpha!r}")
        self._alpha = float(alpha)

    @property
    def alpha(self):
        """Weight of the cross-entropy: a part of the traced step, and so fixed."""
        return self._alpha

    def compute_losses(self, xy, training=False):
        """Return loss, reconstruction_loss and kl_loss of each example, in nats, (batch,) each."""
        num = self.num_classes
        x, y = xy[:, :-num], xy[:, -num:]  # y is a row of zeros where there is no label
        log_q = tf.nn.log_softmax(tf.cast(self.classifier(x, training=training), x.dtype))
        labelled = tf.reduce_sum(y, axis=1)  # 1 or 0
        w = y + (1 - labelled[:, None]) * tf.exp(log_q)  # (batch, num)
        # Each example with each label: rows 0 … num − 1 are the first example's.
        each = tf.tile(tf.eye(num, dtype=x.dtype), (tf.shape(x)[0], 1))
        joined = tf.concat([tf.repeat(x, num, axis=0), each], axis=1)
        losses = super().compute_losses(joined, training)[1:]
        reconstruction_loss, kl_loss = (
            tf.reduce_sum(w * tf.reshape(values, (-1, num)), axis=1) for values in losses
        )
        log_w = (1 - labelled[:, None]) * log_q  # a label is certain: log 1
        kl_loss += np.log(num) + tf.reduce_sum(w * log_w, axis=1)
        cross_entropy = -tf.reduce_sum(y * log_q, axis=1)  # 0 without a label
        loss = reconstruction_loss + self._beta * kl_loss + self._penalty()
        return loss + self.alpha * cross_entropy, reconstruction_loss, kl_loss

    def class_probabilities(self, x):
        """Return q(y | x) of the array x, (num, num_classes)."""
        unlabelled = np.full(len(x), -1)
        x = self._check((x, unlabelled))[:, : -self.num_classes]
        logits = tf.cast(self.classifier.predict(x, verbose=0), self.variable_dtype)
        return tf.nn.softmax(tf.debugging.check_numerics(logits, "logits must be finite")).numpy()

    def predict_classes(self, x):
        """Return the most probable label of each example of the array x, integers, (num,)."""
        return self.class_probabilities(x).argmax(axis=1)

    def get_config(self):
        classifier = keras.saving.serialize_keras_object(self.classifier)
        return {**super().get_config(), "classifier": classifier, "alpha": self.alpha}
