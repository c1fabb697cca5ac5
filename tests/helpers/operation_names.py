"""Names of all candidate operations."""

OPERATION_NAMES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "squeeze_excitation",
    "eca_3x3",
    "lbc_3x3",
    "lbc_5x5",
    "conv_1x7_7x1",
)
