"""Numbers, durations and counts formatted as short text."""

METRIC_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def short_number(value: float, digits: int = 3) -> str:
    """Format a number with three significant digits and a metric prefix, as in 48.1k or 3.35M.

    Args:
        value: the number.
        digits: number of significant digits; zeros at the end are left out.
    """
    for scale, prefix in METRIC_PREFIXES:
        if abs(value) >= scale:
            return f"{value / scale:.{digits}g}{prefix}"
    return f"{value:.{digits}g}"


def format_duration(seconds: float) -> str:
    """Format a duration in seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def duration_words(seconds: float) -> str:
    """Format a duration in seconds with its two largest units, as in "2 min 5 s" or "3 d 0 h"."""
    seconds = round(seconds)
    if seconds < 1:
        return "less than a second"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def expected_duration(seconds: float) -> str:
    """Format the expected duration of work that takes at least a second, without false precision.

    From a minute on, the seconds are rounded to tens.
    """
    return duration_words(round(seconds, -1) if seconds >= 60 else max(1, seconds))


def plural(n: int, noun: str, nouns: str | None = None) -> str:
    """Format a count with its noun, as in "1 epoch" or "2 epochs".

    Args:
        n: the count.
        noun: the noun in the singular.
        nouns: the noun in the plural; by default, the singular with "s".
    """
    return f"{n} {noun}" if n == 1 else f"{n} {nouns or noun + 's'}"


def memory_text(n_bytes: float) -> str:
    """Format a number of bytes, such as "1.5 MB"."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
