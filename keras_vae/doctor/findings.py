"""What can be found, and what it means."""

import typing

LEVELS = "error", "warning", "note"


class Finding(typing.NamedTuple):
    """One thing that was found; `value` is what was measured, `sound` what a sound model has."""

    name: str
    level: str  # "error", "warning" or "note"
    value: str
    sound: str
    meaning: str
    remedy: str
    see: str


# What a finding means, what to do, and where to read of it. In the order of cost: causes first.
TEXTS = {
    "step failed": (
        "The training step could not be run on these data, so only the networks were looked at.",
        "Compile the model, and give x as `fit` gets it.", ""),
    "data not finite": (
        "No loss of NaN or infinity is a number.", "Remove or replace these values.", ""),
    "weights not finite": (
        "A step has made NaN of the weights; nothing that follows can mend them.",
        "Look at the range of x; take a smaller rate, and bound what is exponentiated.",
        "A1-4, gallery 3"),
    "data out of range": (
        "A cross-entropy of such data has no floor, and a bounded output cannot reach them.",
        "Divide images by 255; or take a Gaussian likelihood with a linear output.",
        "A3-2, gallery 4"),
    "data on another scale": (
        "x and x_test, or x and what the output can be, were scaled in two ways; or x was not.",
        "Put all data through the same preprocessing, once, fitted to x.", "gallery 4"),
    "validation images among training images": (
        "What is measured on them tells how well the model remembers.",
        "Split the data before anything is repeated.", "A3-15"),
    "both players moved by one loss": (
        "A step that is to move one network moves the other, too: one player works for the other.",
        "Apply the gradients to one network's weights only.", "bug 14"),
    "not two heads": (
        "An encoder with one head gives a point, not a cloud: no variance, no KL.",
        "Give it two heads, the mean and the log-variance.", "A3-6"),
    "KL missing": (
        "Nothing keeps the codes near the prior, so draws from it fall where no code is.",
        "Add the KL to the loss.", "A0-7, A1-11, A2-9"),
    "noise missing": (
        "z is the mean itself: an autoencoder, with a penalty.",
        "z = z_mean + exp(z_log_var / 2) · noise.", "A0-11"),
    "noise frozen": (
        "Every step draws the same noise, made once, when the step was traced.",
        "Draw with tf.random.normal or a SeedGenerator, inside the step.", "bug 10"),
    "noise the same for the whole batch": (
        "All examples get one draw: the average over the noise is of one, not of the batch.",
        "Draw noise of the shape of z_mean, (batch, latent_dim).", "bug 10"),
    "noise shared by the latent variables": (
        "All latent variables of an example get one draw: they move together.",
        "Draw noise of the shape of z_mean, (batch, latent_dim).", ""),
    "noise of another scale": (
        "The cloud that is drawn from is not the one whose KL is paid for.",
        "Draw from N(0, 1), times exp(z_log_var / 2).", "C-3"),
    "draws take the head for something else": (
        "The deviation of z is another function of the second output than its KL has.",
        "The deviation is exp(z_log_var / 2).", "bug 13"),
    "KL takes the head for something else": (
        "The KL reads the encoder's second output as something else than the draw of z does.",
        "−½ Σ (1 + z_log_var − z_mean² − exp(z_log_var)).", "C-2"),
    "KL between the wrong distributions": (
        "What is added is not the divergence of q(z | x) from N(0, I).",
        "−½ Σ (1 + z_log_var − z_mean² − exp(z_log_var)).", "A0-10"),
    "KL of the wrong sign": (
        "Training drives the codes away from the prior, without end.",
        "Add the KL to a loss; subtract it from a bound.", "bug 5"),
    "reconstruction of the wrong sign": (
        "Training makes the reconstructions worse.",
        "A loss is −bound: the reconstruction loss counts as plus.", "A2-5, bug 7"),
    "sigmoid too many": (
        "The loss puts outputs of a sigmoid through a second one: a pixel's logit is learned "
        "where the pixel is meant.",
        "Put out logits with from_logits=True, or probabilities without it.", "A2-3, bug 6"),
    "sigmoid missing": (
        "The loss takes any number for a probability: below 0 and above 1 it teaches nothing.",
        "from_logits=True, or a sigmoid at the end.", "A3-20"),
    "reconstruction missing": (
        "The loss does not look at the output: nothing is learned of the data.",
        "Add −log p(x | z).", "A2-9"),
    "reconstruction is a mean over features": (
        "The KL, a sum, then weighs as many times as much as there are features.",
        "Sum over the features, take the mean over the batch only.", "gallery 2, bug 11, C-2"),
    "KL is a mean over latent variables": (
        "It weighs less by the number of latent variables (or β is as small by choice).",
        "Sum over the latent variables, take the mean over the batch only.", "bug 12, C-1"),
    "beta has no effect": (
        "The step keeps the weight of the KL that it had when it was traced.",
        "Keep β in a tf.Variable, and assign to it.", "bug 9"),
    "beta far from 1": (
        "With a great β codes tell little, with a small one draws from the prior are poor.",
        "Nothing, if it is meant; else look for a mean in place of a sum.",
        "gallery 7, C-9"),
    "reconstruction does not reach the encoder": (
        "No gradient leads through the draw of z, so the codes learn from the KL alone.",
        "Reparameterise: z = z_mean + exp(z_log_var / 2) · noise, in TensorFlow.", "bug 8"),
    "encoder does not learn": ("No gradient comes to its weights.", "Find where the graph is cut: "
                               "NumPy, stop_gradient, an argmax, trainable=False.", ""),
    "decoder does not learn": ("No gradient comes to its weights.", "Find where the graph is cut, "
                               "and whether the optimizer is given these weights.", ""),
    "generator does not learn": ("No gradient comes to its weights.", "Generate within the tape; "
                                 "maximise the discriminator's error on them.", "A4-6, bug 3"),
    "discriminator does not learn": ("No gradient comes to its weights.", "Look whether it is "
                                     "frozen, and what its optimizer is given.", ""),
    "log-variance head does not learn": (
        "No gradient comes to the second head: every cloud keeps its width.",
        "Use the second output in the draw and in the KL.", "A2-9"),
    "some weights do not learn": (
        "No gradient comes to some of the weights: they take no part in the loss.",
        "Find the layer that is not used, or whose part of the step is cut off.", "A3-5"),
    "a player learns the wrong way": (
        "The generator's step makes its images easier to tell from real ones.",
        "The generator maximises the discriminator's error on generated images.", "A4-3, A4-10"),
    "mean is bounded": (
        "The prior reaches further than any code can.", "A linear head.", "A3-11"),
    "mean cannot be negative": (
        "Half of the prior lies below 0, and no code can.", "A linear head.", "A0-2, A1-3, bug 2"),
    "log-variance is bounded": (
        "Clouds cannot be narrower, or wider, than the activation allows.", "A linear head.", ""),
    "posterior collapse": (
        "Every example has the prior for its cloud, and the decoder draws one mean image.",
        "A warm-up of β, free bits, a weaker decoder.", "gallery 1"),
    "discriminator has won": (
        "Real and generated images are told apart without an error; the generator learns little.",
        "Slow the discriminator down: label smoothing, dropout, a smaller rate.", "gallery 5"),
    "mode collapse": (
        "The generator draws few pictures, whatever the noise.",
        "Speed the discriminator up, or start anew with other rates.", "gallery 6"),
    "copies of training images": (
        "What is drawn lies much nearer to training images than unseen images do.",
        "More data, a smaller network, noise, an earlier end.", "gallery 8"),
    "overfitting": (
        "x_test is copied worse than x: it is unseen, or of another kind.",
        "More data, dropout, an earlier end; compare where x_test comes from.",
        "gallery 8"),
    "codes far from the prior": (
        "Copies may be good, but what is drawn from the prior falls where no code is.",
        "β = 1, longer training, or a mixture fitted to the codes.", "gallery 7"),
    "no better than the mean image": (
        "Copying the mean image is as good.", "Train longer; look at the errors first.", ""),
    "unused latent variables": (
        "They cost nothing and tell nothing; usual at β = 1.", "Nothing: fewer would do.", ""),
    "dead units": (
        "A ReLU that is never above 0 learns no more; some are usual where inputs are blank.",
        "If copies are poor: a smaller learning rate.", ""),
    "no better than PCA": (
        "A linear model with as many numbers copies as well.", "Train longer.", ""),
    "an autoencoder": (
        "Its codes have no prior: draws of N(0, I) need not be codes.",
        "Nothing; to generate, take a VAE, or fit a mixture to the codes.", "A2-12"),
    "loss not recognised": (
        "The loss is none of those that are known here, so its weights were not judged.",
        "Nothing, if this is meant: another prior, free bits, several draws.", ""),
    "not looked at": ("This was not looked at.", "Give what is missing.", ""),
}


def found(name, level, value, sound):
    """Return the Finding of this name."""
    return Finding(name, level, value, sound, *TEXTS[name])
