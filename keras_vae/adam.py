"""Keras's Adam with the update of a weight in one operation."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vae")
class FusedAdam(keras.optimizers.Adam):
    """Adam as in Keras, up to rounding; each weight is updated by one TensorFlow operation.

    Keras writes the update as a dozen operations, each of which passes over the whole weight: in
    small networks a good part of a step (see the README's table of speeds). Arguments, state and
    saving are those of `keras.optimizers.Adam`; with `amsgrad`, for sparse gradients and under a
    `tf.distribute` strategy it does what Keras does.

    Source: Kingma & Ba 2015, algorithm 1.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad or not tf.is_tensor(gradient) or tf.distribute.has_strategy():
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
            lr=tf.cast(learning_rate, dtype),
            beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon,
            grad=tf.cast(gradient, dtype),
        )
