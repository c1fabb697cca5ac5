from moonas.run.folders import folder_names, last_run
from moonas.run.journal import Journal
from moonas.settings import RunSettings


def test_the_folder_names_of_repeated_stages_are_numbered():
    assert folder_names(["a", "b", "a", "a"]) == ["a", "b", "a-2", "a-3"]


def test_last_run_returns_the_run_of_the_last_repetition_of_a_stage(tmp_path):
    stages = ["eagan-generator", "eagan-discriminator", "eagan-generator"]
    for n, name in zip((1, 2, 3), folder_names(stages), strict=True):
        journal = Journal(tmp_path / name, problem=stages[n - 1], settings=RunSettings())
        journal.begin(1, "algorithm")
        journal.call("score", {}, dict)
        journal.close()
        assert last_run(tmp_path) == (tmp_path / name, stages[n - 1])
