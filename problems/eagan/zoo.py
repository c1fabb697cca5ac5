"""Published generators and discriminators of the space, as the release of EAGAN stores them."""

from .space import DiscriminatorSpace, GeneratorSpace

EAGAN = "Ying et al., EAGAN, ECCV 2022, figures 3 and 4"
GENERATORS = {
    "EAGAN_G": ([[1, 1, 1, 0, 2, 3, 1], [1, 1, 0, 1, 3, 0, 5], [0, 1, 0, 3, 0, 0, 3]], EAGAN),
    "AdversarialNAS_G": (
        [[1, 1, 1, 0, 3, 3, 1], [1, 1, 0, 1, 3, 3, 3], [0, 1, 0, 3, 3, 0, 3]],
        "Gao et al., AdversarialNAS, CVPR 2020",
    ),
}
DISCRIMINATORS = {
    "EAGAN_D_C": ([[3, 0, 3, 0, 2, 0, 0], [1, 0, 3, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]], EAGAN),
    "EAGAN_D_S": ([[3, 0, 3, 0, 2, 0, 0], [4, 0, 4, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]], EAGAN),
    "AutoGAN_D": (
        [[3, 0, 3, 0, 2, 0, 0], [3, 0, 3, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]],
        "Gong et al., AutoGAN, ICCV 2019",
    ),
}


def generator(name):
    """The architecture of a published generator."""
    return GeneratorSpace().of_arrays(GENERATORS[name][0])


def discriminator(name, side=32):
    """The architecture of a published discriminator; legal from 8 pixels a side on."""
    return DiscriminatorSpace(side).of_arrays(DISCRIMINATORS[name][0])
