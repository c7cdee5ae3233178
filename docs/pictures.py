"""Make the first picture of each chapter from its last run: `python docs/pictures.py`.

Run the chapters first, at their defaults on MNIST, from the folder where this is started: the
pictures are read from outputs/ and written to docs/images/, smaller.
"""

import json
import pathlib
import sys

import PIL.Image

IMAGES = pathlib.Path(__file__).resolve().parent / "images"

PICTURES = {  # chapter: picture of its run
    "01_dense_autoencoder": "copies",
    "02_autoencoder_class": "copies",
    "03_regularised_autoencoder": "copied_numbers",
    "04_variational_autoencoder": "generated",
    "05_deep_vae": "latent_plane",
    "06_vae_classification": "label_efficiency",
    "07_vae_clustering": "clusters",
    "08_dense_gan": "generated",
    "09_which_model": "generated",
    "10_choosing_hyperparameters": "costs",
    "11_denoising_and_sparsity": "denoised",
    "12_convolutional_vae": "drawn",
    "13_likelihood": "least_and_most",
    "14_anomaly_detection": "areas",
    "15_many_machines": "scaling",
    "16_few_labels": "asked_for",
    "17_clustering_vae": "clusters",
}


def main(outputs):
    """Reduce the pictures of the runs in the folder `outputs` to 720 pixels of width."""
    for chapter, name in PICTURES.items():
        results = json.loads((outputs / chapter / "results.json").read_text(encoding="utf-8"))
        changed = {key: value for key, value in results["overrides"].items() if key != "seed"}
        if changed or results["data"] != "mnist":
            raise SystemExit(f"{chapter} was not run at its defaults on MNIST: {changed}")
        with PIL.Image.open(outputs / chapter / f"{name}.png") as picture:
            small = picture.convert("RGB")
        small.thumbnail((720, 720), PIL.Image.Resampling.LANCZOS)
        small.quantize(64).save(IMAGES / f"{chapter[:2]}_{name}.png", optimize=True)


if __name__ == "__main__":
    main(pathlib.Path(*(sys.argv[1:2] or ["outputs"])))
