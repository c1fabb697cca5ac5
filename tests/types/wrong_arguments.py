"""A user's script with wrong arguments, which a type checker finds before it runs.

The gate checks this file: each ``type: ignore`` below is an error that mypy must report, since an
ignore without an error is an error itself. The script never runs.
"""

import moonas
from moonas.problem import Column


def search() -> None:
    problem = moonas.load_problem("digits-table", seed=0)
    Column("error", "%", worst="100")  # type: ignore[arg-type]
    result = moonas.search("digits-table", seed="1")  # type: ignore[arg-type]
    for row in result.rows:  # type: ignore[attr-defined]
        print(problem.network(row))
    model = moonas.load_model(3)  # type: ignore[arg-type]
    print(model.input_shape + 1)  # type: ignore[operator]
