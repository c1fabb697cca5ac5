"""Training from scratch tests the objectives of the search."""

import moonas
from moonas.run.front_file import read_front_csv


def test_robustness_is_tested_if_it_was_an_objective_of_the_search(few_digits, tmp_path):
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
