"""Time the live commands of docs/teaching.md on MNIST, and put the table into that page.

    python benchmarks/teaching.py run      each command once, nothing beside it
    python benchmarks/teaching.py table

What each command prints at its end is saved with its seconds, in teaching.json, for whoever
checks a number of that page.
"""

import argparse
import pathlib
import re
import shlex

import chapters
import quality

SAVED = pathlib.Path(__file__).parent / "teaching.json"
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "teaching.md"


def commands():
    """Return the page's commands that run a chapter with other parameters, in their order."""
    found = re.findall(r"`python (tutorials \d+ [^`]*=[^`]*)`", PAGE.read_text(encoding="utf-8"))
    return [command for command in dict.fromkeys(found) if "data=digits" not in command]


def run():
    """Run each command; save after every one its seconds, and what its closing table measured."""
    for command in commands():
        _, number, *settings = shlex.split(command)
        values, _, minutes = quality.run_chapter(int(number), settings, seed=0)
        entry = {"command": command, "seconds": round(60 * minutes), "values": values}
        chapters.add(SAVED, ("command",), entry)
        print(f"{command}: {60 * minutes:.0f} seconds", flush=True)


def table():
    """Return the table of seconds as Markdown."""
    seconds = {run["command"]: run["seconds"] for run in chapters.read(SAVED)["runs"]}
    rows = [(f"`python {command}`", seconds[command]) for command in commands()]
    return chapters.markdown(("live command", "seconds"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "table"])
    if parser.parse_args().what == "run":
        run()
    chapters.paste(PAGE, "teaching.py table", table())
    print(table())
