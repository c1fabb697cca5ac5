import pytest
from cyclegans import SMALL
from moonas.problems.cyclegan_pruning import pretraining

from moonas.files.tensors import fingerprint
from moonas.testing import check_resume


def test_a_discriminator_with_too_many_layers_raises_an_error_when_the_stage_is_built():
    with pytest.raises(ValueError, match="d_layers=4 is invalid: images of 8x8 pixels"):
        pretraining.build(**SMALL | dict(d_layers=4))


def test_a_resumed_pretraining_ends_with_the_same_weights(domains, tmp_path):
    def build():
        return pretraining.build(**SMALL | dict(data=domains, epochs=1, decay_epochs=1))

    def train(stage):
        return fingerprint(stage.run(1).gan.state_dict())

    uninterrupted, resumed = check_resume(build, train, tmp_path)
    assert resumed == uninterrupted


def test_a_stage_trains_for_all_epochs_and_writes_the_weights(domains, tmp_path):
    stage = pretraining.build(**SMALL | dict(data=domains, epochs=1, decay_epochs=2))
    assert stage.n_epochs == 3
    trained = stage.run(1)
    assert trained.scores == {}  # the images have neither classes nor label maps
    assert stage.report(trained, tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {"cyclegan.pt", "translations.png"}


def test_the_progress_line_of_an_epoch_contains_each_loss():
    metrics = dict(gan_loss=1.0, cycle_loss=0.25, identity_loss=0.5, d_loss=2.0)
    stage = pretraining.build(**SMALL)
    assert stage.line(9, metrics) == (
        "  epoch  10: GAN loss 1.000, cycle 0.250, identity 0.500, discriminators 2.000"
    )
