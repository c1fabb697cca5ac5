"""Co-evolutionary compression for unpaired image translation (Shu et al., ICCV 2019)."""
