import tensorflow as tf


def kl_to_mixture(mu, log_var, logits, centres, log_widths):
    """Return log π of the clusters, the KL to each of them, and `kl`, an upper bound on the KL.

    Args:
        mu, log_var: Of q(z | x), mean and log σ², (batch, latent_dim) each.
        logits: Any numbers, whose softmax is π, the weights of the clusters, (clusters,).
        centres: Means of the clusters, (clusters, latent_dim).
        log_widths: Logarithms of their variances, (clusters, latent_dim).
    """
    log_pi = tf.nn.log_softmax(logits)  # (clusters,)
    apart = mu[:, None] - centres  # (batch, clusters, latent_dim)
    log_ratio = log_var[:, None] - log_widths  # of the variances, in the same shape
    each = tf.exp(log_ratio) + apart**2 / tf.exp(log_widths) - 1 - log_ratio
    kl_each = 0.5 * tf.reduce_sum(each, axis=2)
    kl = -tf.reduce_logsumexp(log_pi - kl_each, axis=1)
    return log_pi, kl_each, kl
