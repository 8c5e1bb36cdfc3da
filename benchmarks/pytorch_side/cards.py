"""Peak rates of cards by name: dense products in TFLOP/s as their makers' data sheets have them (no sparsity, boost clock, board power)."""

# Part of the name CUDA gives, fp32, tf32, bf16. The first that fits counts.
CARDS = (
    ("H100 PCIe", 51.2, 378.0, 756.0),
    ("H100 NVL", 60.0, 417.5, 835.0),
    ("H100", 66.9, 494.7, 989.4),
    ("H200 NVL", 60.0, 417.5, 835.0),
    ("H200", 66.9, 494.7, 989.4),
    ("GH200", 66.9, 494.7, 989.4),
    ("B200", 75.0, 1100.0, 2250.0),
    ("A100", 19.5, 156.0, 312.0),
    ("A40", 37.4, 74.8, 149.7),
    ("A10G", 31.2, 35.0, 70.0),
    ("A10", 31.2, 62.5, 125.0),
    ("L40S", 91.6, 183.0, 362.0),
    ("L40", 90.5, 90.5, 181.0),
    ("L4", 30.3, 60.0, 121.0),
    ("RTX 4090", 82.6, 82.6, 165.2),
    ("RTX 3090", 35.6, 35.6, 71.0),
    ("RTX A6000", 38.7, 77.4, 154.8),
)


def data_sheet(name):
    """{"fp32": FLOP/s, …} of a card, or {} for one that is not listed."""
    for part, *rates in CARDS:
        if part in name.split("/")[0]:
            return dict(zip(("fp32", "tf32", "bf16"), (r * 1e12 for r in rates)))
    return {}
