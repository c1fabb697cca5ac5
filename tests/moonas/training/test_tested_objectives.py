"""What a search had as objectives, its training from scratch is tested by."""

import moonas
from moonas.run.front_file import read_front_csv


def test_robustness_is_tested_where_the_search_had_it_as_an_objective(few_digits, tmp_path):
    found = moonas.search(
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
    (trained,) = moonas.train(found.folder, pick="0", epochs=1)
    assert set(trained.scores) == {"error", "robustness_error"}
    row = read_front_csv(found.folder)[0]
    assert row.trained["robustness_error"] == trained.scores["robustness_error"]
    assert row.trained["error"] == trained.scores["error"]
