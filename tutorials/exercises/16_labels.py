import math

import tensorflow as tf


def m2_losses(cost, logits, y, alpha):
    """Return the losses of M2 with a label and without one, and the one that counts, (batch,) each.

    Args:
        cost: L(x, y), minus the bound on log p(x | y), of each image with each label, (batch, 10).
        logits: What the classifier q(y | x) puts out, (batch, 10).
        y: A row for each image, (batch, 10): one-hot, or zeros where it has no label.
        alpha: Weight of the label's cross-entropy.
    """
    log_q = tf.nn.log_softmax(logits)  # (batch, 10)
    has_label = tf.reduce_sum(y, axis=1)  # 1 or 0, (batch,)
    labelled = tf.reduce_sum(y * (cost - alpha * log_q), axis=1) + math.log(10)
    unlabelled = tf.reduce_sum(tf.exp(log_q) * (cost + log_q), axis=1) + math.log(10)
    loss = has_label * labelled + (1 - has_label) * unlabelled
    return labelled, unlabelled, loss
