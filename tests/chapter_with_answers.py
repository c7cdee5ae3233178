"""Run a chapter as `python tutorials` does, then the code of its answers, in the same names."""

import pathlib
import re
import runpy
import sys
import textwrap

TUTORIALS = pathlib.Path(__file__).parent.parent / "tutorials"


def answers(path):
    """Return the Python code of a chapter's folded answers, a text for each block."""
    exercises = path.read_text(encoding="utf-8").partition("\n# ## Exercises\n")[2]
    prose = re.sub(r"^# ?", "", exercises, flags=re.MULTILINE)
    folded = re.findall(r"<details>.*?</details>", prose, re.DOTALL)
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", "\n".join(folded), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


if __name__ == "__main__":
    runner = runpy.run_path(str(TUTORIALS / "__main__.py"), run_name="runner")
    main, run = runner["main"], runner["run"]

    def run_with_answers(path, settings):
        import keras_vae  # not before the runner has looked whether it can be

        def few_batches(arrays, batch_size, seed=0, passes=1):
            """Two of the 20 passes over the digits are enough to see that a chapter runs."""
            return batches(arrays, batch_size, seed, min(passes, 2))

        batches, keras_vae.batches = keras_vae.batches, few_batches
        names = run(path, settings)
        for number, code in enumerate(answers(path), start=1):
            exec(compile(code, f"{path.stem}, answer with code {number}", "exec"), names)
            print("answer with code", number, "ran")

    main.__globals__["run"] = run_with_answers
    sys.exit(main(sys.argv[1:]))
