"""Try `keras_vae.diagnose` on faulty and on sound models, and say how often it is right.

    python benchmarks/diagnose.py run           all models, with the rules as they are: ten minutes
    python benchmarks/diagnose.py table         puts the tables into docs/diagnose.md

The rules were written with the models of `faulty_models.py` in sight. Each of the other two sets
was made by someone who had not seen the rules, and the rules were frozen before it was first tried
(`run --first blind`); afterwards they were mended. Saved in benchmarks/diagnose.json.
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
import faulty_models_blind_2
import keras

from keras_vae.doctor import diagnose
from keras_vae.doctor.findings import TEXTS

SAVED = pathlib.Path(__file__).parent / "diagnose.json"
PAGE = chapters.RESULTS.parent / "diagnose.md"
CHINESE = chapters.RESULTS.parent / "zh" / "diagnose.md"
SETS = {"rules": faulty_models, "blind": faulty_models_blind, "blind 2": faulty_models_blind_2}
HEADS = {  # of the columns, then of the rows
    PAGE: ("", "models of the rules, now", "first blind set, first run", "now",
           "second blind set, first run", "now",
           "the fault is the first finding", "the fault is among the findings",
           "sound models with an error", "sound models with a warning",
           "seconds, median (least to greatest)"),
    CHINESE: ("", "写规则时看到的模型，现在", "第一组盲测，第一次运行", "现在",
              "第二组盲测，第一次运行", "现在",
              "错误排在第一位", "错误在所列之中", "没有错误的模型却报了 error",
              "没有错误的模型却报了 warning", "秒数，中位数（最小至最大）"),
}


def try_out(build):
    """Return [name, level] of each finding of a model, worst first, and the seconds it took."""
    keras.backend.clear_session()
    arguments = build()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        findings = diagnose(**arguments)
    return [[f.name, f.level] for f in findings], round(time.perf_counter() - start, 1)


def run(names):
    """Try every model of these sets; return a row for each."""
    rows = []
    for name in names:
        faulty = {text: case[:2] for text, case in SETS[name].FAULTY.items()}
        sound = {text: (build, None) for text, build in SETS[name].SOUND.items()}
        for text, (build, wanted) in {**faulty, **sound}.items():
            findings, seconds = try_out(build)
            rows.append({"set": name, "model": text, "wanted": wanted, "found": findings,
                         "seconds": seconds})
            first = findings[0][0] if findings else None
            says = "sound" if wanted is None else "right" if first == wanted else f"not {wanted}"
            print(f"{says}: {text}: {findings}", flush=True)
    return rows


def column(rows):
    """Return the cells of a column: how often the rows are right, and how long it took."""
    faulty = [row for row in rows if row["wanted"]]
    sound = [row for row in rows if not row["wanted"]]

    def share(count, of):
        return f"{count} of {len(of)} ({count / len(of):.0%})"

    first = sum(bool(r["found"]) and r["found"][0][0] == r["wanted"] for r in faulty)
    named = sum(r["wanted"] in [name for name, _ in r["found"]] for r in faulty)
    alarms = [share(sum(any(of == level for _, of in r["found"]) for r in sound), sound)
              for level in ("error", "warning")]
    seconds = sorted(row["seconds"] for row in rows)
    middle = f"{seconds[len(seconds) // 2]:.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})"
    return [share(first, faulty), share(named, faulty), *alarms, middle]


def table(report, heads=HEADS[PAGE]):
    """Return the table as Markdown, a column for each run of a set; `heads` as of HEADS."""
    def of(when, name):
        return column([row for row in report[when] if row["set"] == name])

    columns = [of("now", "rules")]
    for name in ("blind", "blind 2"):
        columns += [of("first", name), of("now", name)]
    lines = [(head, *cells) for head, cells in zip(heads[6:], zip(*columns))]
    return chapters.markdown(heads[:6], lines)


def findings():
    """Return the table of all findings as Markdown."""
    lines = [(name, meaning, remedy, see) for name, (meaning, remedy, see) in TEXTS.items()]
    return chapters.markdown(("finding", "what it means", "what to do", "read"), lines)


def example():
    """Return what is printed of a VAE whose reconstruction loss is a mean."""
    arguments = faulty_models.FAULTY["mean over pixels, package"][0]()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        diagnose(**arguments)
    return f"```\n{printed.getvalue().rstrip()}\n```"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--first", choices=list(SETS), help="the first run of a set")
    arguments = parser.parse_args()
    saved = json.loads(SAVED.read_text(encoding="utf-8")) if SAVED.exists() else {"first": []}
    if arguments.what == "run":
        if arguments.first:
            saved["first"] += run([arguments.first])
        else:
            saved["now"] = run(SETS)
            saved["date"] = datetime.date.today().isoformat()
        chapters.save(SAVED, saved)
    else:
        for page, heads in HEADS.items():
            chapters.paste(page, "diagnose.py table", table(saved, heads))
            chapters.paste(page, "diagnose.py example", example())
        chapters.paste(PAGE, "diagnose.py findings", findings())
        print(table(saved))
