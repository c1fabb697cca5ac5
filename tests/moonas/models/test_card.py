import json
import math

import pytest
from model_files import write_generator, write_translator
from pictures import write_small_classifier

import moonas
from moonas.cli import main
from moonas.models.card import model_card, write_card
from moonas.models.description import describe_model
from moonas.run.journal import read_identity


def wilson(wrong, n, z=1.959963984540054):
    """Return the 95 % interval of a share in percent (Wilson, 1927)."""
    p, half = wrong / n, z * math.sqrt(wrong / n * (1 - wrong / n) / n + z**2 / (4 * n**2))
    middle, scale = p + z**2 / (2 * n), 1 + z**2 / n
    return 100 * (middle - half) / scale, 100 * (middle + half) / scale


def test_the_card_of_a_training_contains_what_its_folder_records(tmp_path, few_digits, capsys):
    options = dict(
        data=str(few_digits), epochs=1, batch=50, weight_decay=0, device="cpu", image_size=8
    )
    folder = tmp_path / "training"
    (trained,) = moonas.train(architecture="CARS_A", out=folder, channels=2, layers=3, **options)
    assert main(["export", str(folder), "--format", "python"]) == 0
    assert f"Model card written to {folder / 'model.md'}" in capsys.readouterr().out
    card = (folder / "model.md").read_text()
    error, n = trained.scores["error"], 20  # two test images per class
    low, high = wilson(round(error / 100 * n), n)
    assert f"error: {error:.2f} % of 20 images (95 % interval {low:.2f} to {high:.2f} %" in card
    measured = json.loads((folder / "measured.json").read_text())
    for text in (
        *("`epochs=1`", "`batch=50`", "`channels=2`", "Seed: 1.", "logits of 10 classes: 0, 1, 2"),
        *("`weight_decay=0.0`", "`class_weights=none`", "File: `network.py`."),
        *(
            "Folder digits with 120 images; digest of its content: ",
            "resizes the shorter side to 8",
        ),
        *(
            f"Parameters: {measured['params']:,}.",
            f"Multiply-adds per input: {measured['macs']:,}.",
        ),
        f"Latency: {measured['latency_ms']:.3g} ms per image on cpu",
        *("## Limits", "## License"),
    ):
        assert text in card, text
    assert str(few_digits.parent) not in card and "`device" not in card and "None" not in card
    assert read_identity(folder)["images"]["path"] not in card


@pytest.mark.parametrize("write", [write_small_classifier, write_generator, write_translator])
def test_a_card_leaves_out_what_is_unknown(write, tmp_path):
    write(tmp_path / "model.pt")
    card = model_card(moonas.load_model(tmp_path), training=tmp_path)
    assert "Parameters: " in card and "## Limits" in card
    for text in ("Scores", "Latency", "Settings", "Data", "None", "nan"):
        assert text not in card, text


def test_each_export_of_a_folder_has_its_own_card(tmp_path):
    for domain in "ab":
        write_translator(tmp_path / f"model-{domain}.pt", domain)
    models = {d: moonas.load_model(tmp_path / f"model-{d}.pt") for d in "ab"}
    exported = [(models["a"], "a.onnx"), (models["b"], "b.onnx"), (models["b"], "b.pt2")]
    for _ in range(2):  # the second time, each card replaces its predecessor
        cards = [write_card(model, tmp_path / name) for model, name in exported]
        assert [card.name for card in cards] == ["model.md", "b.md", "b.pt2.md"]
    for card, (_, name), direction in zip(
        cards, exported, ("A to B", *["B to A"] * 2), strict=True
    ):
        assert f"File: `{name}`." in card.read_text()
        assert f"Direction of the translation: {direction}." in card.read_text()
    assert describe_model(models["b"])["from_domain"] == "b"
    assert describe_model(models["b"])["direction"] == "B to A"


def test_the_card_does_not_replace_a_file_of_the_user(tmp_path):
    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt"))
    (tmp_path / "model.md").write_text("my notes")
    for _ in range(2):
        assert write_card(model, tmp_path / "net.onnx") == tmp_path / "net.md"
    assert (tmp_path / "model.md").read_text() == "my notes"
