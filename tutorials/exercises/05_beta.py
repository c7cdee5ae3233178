import tensorflow as tf


class WeightedLoss:
    """reconstruction + β · KL, where β rises from 0 to its target in a number of epochs."""

    def __init__(self, target, epochs):
        self.target, self.epochs = target, epochs
        self.beta = tf.Variable(0.0, trainable=False)

    def begin_epoch(self, epoch):
        """Set β for an epoch; the first has the number 0."""
        beta = self.target * min(1, epoch / self.epochs)
        self.beta.assign(beta)

    def __call__(self, reconstruction, kl):
        """Return the loss of each example from its two parts, in nats, (batch,) each."""
        loss = reconstruction + self.beta * kl
        return loss
