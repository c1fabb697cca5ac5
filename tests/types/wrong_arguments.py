"""A script with wrong types, each of which a type checker reports before the script runs.

The gate runs mypy on this file. Each ``type: ignore`` below marks an error that mypy must report,
since an unused ``type: ignore`` is itself an error. The script is never executed.
"""

import moonas
from moonas.problem import Column


class Printer(moonas.RunCallback):
    def on_progress(self, phase: str, done: int) -> None:  # type: ignore[override]
        print(phase, done)


def search() -> str:
    Column("error", "%", worst="100")  # type: ignore[arg-type]
    result = moonas.search("cars", seed="1", callbacks=[Printer()])  # type: ignore[arg-type]
    for row in result.rows:
        print(row.objective["error"])  # type: ignore[attr-defined]
    print(result.rows[result.picked])  # type: ignore[index]
    trained = moonas.train(result.folder, pick=0.5)  # type: ignore[arg-type]
    print(trained.scores)  # type: ignore[attr-defined]
    moonas.search("cars", callbacks=Printer())  # type: ignore[arg-type]
    moonas.load_problem(name=3)  # type: ignore[arg-type]
    return moonas.problem_names()  # type: ignore[return-value]
