import math

import tensorflow as tf


def importance_weighted_bound(log_p, z, epsilon, log_var):
    """Return what a lower bound on log p(x) is made of, and that bound, from several draws of z.

    Args:
        log_p: log p(x | z) of each draw, (num, batch).
        z: The draws, mu + exp(log_var / 2) * epsilon, (num, batch, latent_dim).
        epsilon: Their noise, from N(0, I), (num, batch, latent_dim).
        log_var: log σ² of q(z | x), (batch, latent_dim).
    """
    num = epsilon.shape[0]
    constant = math.log(2 * math.pi)
    log_prior = -0.5 * tf.reduce_sum(z**2 + constant, axis=2)  # (num, batch)
    log_q = -0.5 * tf.reduce_sum(epsilon**2 + log_var + constant, axis=2)
    log_w = log_p + log_prior - log_q
    bound = tf.reduce_logsumexp(log_w, axis=0) - math.log(num)
    return log_q, log_w, bound
