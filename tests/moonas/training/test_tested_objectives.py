"""Training from scratch evaluates the quality objectives of the search on the test set."""

import moonas
from moonas.run.front_file import read_front_csv


def test_the_robustness_error_is_evaluated_if_it_was_an_objective_of_the_search(
    few_digits, tmp_path
):
    result = moonas.search(
        "nsganet-macro",
        out=tmp_path / "run",
        seed=1,
        data=few_digits,
        image_size=8,
        population=2,
        generations=1,
        channels=2,
        proxy_epochs=1,
        workers=1,
    )
    (trained,) = moonas.train(result.folder, pick="0", epochs=1)
    assert set(trained.scores) == {"error", "robustness_error"}
    row = read_front_csv(result.folder)[0]
    assert row.trained["robustness_error"] == trained.scores["robustness_error"]
    assert row.trained["error"] == trained.scores["error"]
