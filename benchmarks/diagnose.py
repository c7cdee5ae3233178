"""Try `keras_vae.diagnose` on faulty and on sound models, and say how often it is right.

    python benchmarks/diagnose.py run           all models: about ten minutes
    python benchmarks/diagnose.py table         puts the table into docs/diagnose.md

The rules were written with the models of `faulty_models.py` in sight. Those of
`faulty_models_blind.py` were made without a look at the rules, and the rules were frozen before the
first of them was tried. What was found is saved in benchmarks/diagnose.json.
"""

import argparse
import contextlib
import datetime
import io
import json
import pathlib
import time

import chapters
import faulty_models
import faulty_models_blind
import keras

from keras_vae.doctor import diagnose
from keras_vae.doctor.findings import TEXTS

SAVED = pathlib.Path(__file__).parent / "diagnose.json"
PAGE = chapters.RESULTS.parent / "diagnose.md"
HALVES = {"rules": faulty_models, "blind": faulty_models_blind}


def try_out(build):
    """Return [name, level] of each finding of a model, worst first, and the seconds it took."""
    keras.backend.clear_session()
    arguments = build()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        findings = diagnose(**arguments)
    return [[f.name, f.level] for f in findings], round(time.perf_counter() - start, 1)


def run():
    """Try every model of both halves; return the rows, and save them."""
    rows = []
    for half, module in HALVES.items():
        for text, (build, wanted, *_) in module.FAULTY.items():
            findings, seconds = try_out(build)
            rows.append({"half": half, "model": text, "wanted": wanted, "found": findings,
                         "seconds": seconds})
            right = bool(findings) and findings[0][0] == wanted
            print("right" if right else f"wanted {wanted}:", text, findings, flush=True)
        for text, build in module.SOUND.items():
            findings, seconds = try_out(build)
            rows.append({"half": half, "model": text, "wanted": None, "found": findings,
                         "seconds": seconds})
            print("sound:", text, findings, flush=True)
    report = {"date": datetime.date.today().isoformat(), "rows": rows}
    SAVED.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return report


def table(report):
    """Return the table as Markdown, a column for each half."""
    columns = []
    for half in HALVES:
        rows = [row for row in report["rows"] if row["half"] == half]
        faulty = [row for row in rows if row["wanted"]]
        sound = [row for row in rows if not row["wanted"]]

        def share(count, of):
            return f"{count} of {len(of)} ({count / len(of):.0%})"

        first = sum(bool(r["found"]) and r["found"][0][0] == r["wanted"] for r in faulty)
        named = sum(r["wanted"] in [name for name, _ in r["found"]] for r in faulty)
        errors, warnings = (
            sum(any(of == level for _, of in r["found"]) for r in sound)
            for level in ("error", "warning")
        )
        seconds = sorted(row["seconds"] for row in rows)
        columns.append([share(first, faulty), share(named, faulty), share(errors, sound),
                        share(warnings, sound), f"{seconds[len(seconds) // 2]:.1f} "
                        f"({seconds[0]:.1f} to {seconds[-1]:.1f})"])
    heads = ("the fault is the first finding", "the fault is among the findings",
             "sound models with an error", "sound models with a warning",
             "seconds, median (least to greatest)")
    lines = [(head, *cells) for head, cells in zip(heads, zip(*columns))]
    return chapters.markdown(("", "models of the rules", "models made blind"), lines)


def findings():
    """Return the table of all findings as Markdown."""
    lines = [(name, meaning, remedy, see) for name, (meaning, remedy, see) in TEXTS.items()]
    return chapters.markdown(("finding", "what it means", "what to do", "read"), lines)


def example():
    """Return what is printed of a VAE whose reconstruction loss is a mean."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        diagnose(**faulty_models.FAULTY["mean over pixels, package"][0]())
    return f"```\n{printed.getvalue().rstrip()}\n```"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "table"])
    if parser.parse_args().what == "run":
        run()
    saved = json.loads(SAVED.read_text(encoding="utf-8"))
    print(table(saved))
    chapters.paste(PAGE, "diagnose.py table", f"{table(saved)}\n\nMeasured on {saved['date']}.")
    chapters.paste(PAGE, "diagnose.py findings", findings())
    chapters.paste(PAGE, "diagnose.py example", example())
