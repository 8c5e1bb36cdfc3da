"""What the published code feeds its network, in plain Python: every public test set as generated
scans, and the arithmetic of its evaluation.

  published_inputs.py make FOLDER      studies and tables of all sets
  published_inputs.py compare FOLDER   FOLDER/inputs/SET, what `evaluate SET --save-inputs` kept,
                                       against the published arithmetic

Sources: process.py of the sets (3 x 1 x 1 mm; RPI, slices first, percentiles) and the loaders of
the zero-shot programs (window, pad and crop; pad to squares, enlarge, crop; as they are). Sizes
are those of small models: 32 x 48 x 64 for CT, 12 x 32 x 32 for MRI.
"""
import json
import math
import os
import random
import struct
import sys
import zipfile

MEAN, STD = (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3
CT_SIZE, SLICES, RESIZE, CROP = (32, 48, 64), 144, 36, 32
TOLERANCE = 5e-5  # coordinates and sums in single precision
folder = sys.argv[2]


def path(*parts):
    return os.path.join(folder, *parts)


class Array:
    """Three axes of numbers, row-major."""

    def __init__(self, shape, values):
        self.shape, self.values = tuple(shape), list(values)
        assert len(self.values) == shape[0] * shape[1] * shape[2]

    def __getitem__(self, at):
        return self.values[(at[0] * self.shape[1] + at[1]) * self.shape[2] + at[2]]

    def map(self, f):
        return Array(self.shape, map(f, self.values))


def make(shape, value):
    d, h, w = shape
    return Array(shape, [value(z, y, x) for z in range(d) for y in range(h) for x in range(w)])


# ---- the published arithmetic ------------------------------------------------------------------
def linear(n_in, n_out, i):
    """The two inputs of output i of an axis, and the weight of each (align_corners=False)."""
    at = max(0.0, (i + 0.5) * n_in / n_out - 0.5)
    low = min(int(at), n_in - 1)
    return (low, 1 - (at - low)), (min(low + 1, n_in - 1), at - low)


def resample_ct(hu, spacing):
    """Trilinear, to 3 x 1 x 1 mm and int(length * spacing / target) voxels."""
    size = [int(n * s / t) for n, s, t in zip(hu.shape, spacing, (3, 1, 1))]
    tables = [[linear(n, m, i) for i in range(m)] for n, m in zip(hu.shape, size)]

    def value(z, y, x):
        return sum(u * v * w * hu[a, b, c]
                   for a, u in tables[0][z] for b, v in tables[1][y] for c, w in tables[2][x])

    return make(size, value)


def ct_input(hu):
    """Window to 0 … 1, pad with 0 and crop about the centre, normalise."""
    pad = [max(want - have, 0) // 2 for have, want in zip(hu.shape, CT_SIZE)]
    start = [(max(have, want) - want) // 2 for have, want in zip(hu.shape, CT_SIZE)]

    def value(*at):
        inside = [i + s - p for i, s, p in zip(at, start, pad)]
        if not all(0 <= i < n for i, n in zip(inside, hu.shape)):
            return -MEAN / STD
        return (min(max((hu[inside] + 1150) / 1500, 0.0), 1.0) - MEAN) / STD

    return make(CT_SIZE, value)


def percentile(values, q):
    values = sorted(values)
    at = q / 100 * (len(values) - 1)
    low = math.floor(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (at - low)


def percentile_scaled(x):
    low, high = percentile(x.values, 0.5), percentile(x.values, 99.5)
    return x.map(lambda v: (min(max(v, low), high) - low) / (high - low + 1e-8))


def brain_input(x, slices):
    """Pad to a square, bilinear, nearest-exact along the slices, cut out the middle, normalise."""
    depth, height, width = x.shape
    side, margin = max(height, width), (RESIZE - CROP) // 2
    top, left = (side - height) // 2, (side - width) // 2
    table = [linear(side, RESIZE, i) for i in range(margin, margin + CROP)]

    def padded(z, row, column):
        row, column = row - top, column - left
        return x[z, row, column] if 0 <= row < height and 0 <= column < width else 0.0

    def plane(z):
        return [[sum(u * v * padded(z, a, b) for a, u in rows for b, v in columns)
                 for columns in table] for rows in table]

    taken = [int((k + 0.5) * depth / slices) for k in range(slices)]
    planes = {z: plane(z) for z in set(taken)}
    return make((slices, CROP, CROP), lambda k, r, c: (planes[taken[k]][r][c] - MEAN) / STD)


def as_it_is(x):
    return x.map(lambda v: (v - MEAN) / STD)


def raw_to_slices(*volumes):
    """NIfTI that lies nearly RAS to RPI, (z, y, x): rows and slices turn round. Two volumes are
    put one behind the other."""
    d, h, w = volumes[0].shape
    turned = [make((d, h, w), lambda z, y, x, v=v: v[d - 1 - z, h - 1 - y, x]) for v in volumes]
    return percentile_scaled(Array((d * len(turned), h, w), [x for v in turned for x in v.values]))


# ---- files -------------------------------------------------------------------------------------
def write(name, data):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def packed(code, values):
    return struct.pack("<%d%s" % (len(values), code), *values)


def npy(code, shape, values):
    descr = {"B": "|u1", "h": "<i2"}[code]
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, tuple(shape))
    length = struct.pack("<H", len(header))
    return b"\x93NUMPY\x01\x00" + length + header.encode() + packed(code, values)


def npz(name, key, data):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with zipfile.ZipFile(name, "w") as z:
        z.writestr(key + ".npy", data)


def torch_file(name, code, x):
    """What torch.save writes of one tensor."""
    storage = {"B": "Byte", "f": "Float", "d": "Double"}[code].encode() + b"Storage"

    def text(s):
        return b"X" + struct.pack("<I", len(s)) + s.encode()

    def whole(i):
        return b"J" + struct.pack("<i", i)

    def triple(t):
        return whole(t[0]) + whole(t[1]) + whole(t[2]) + b"\x87"

    pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    pickle += b"(" + text("storage") + b"ctorch\n" + storage + b"\n" + text("0") + text("cpu")
    pickle += whole(len(x.values)) + b"tQ" + whole(0) + triple(x.shape)
    pickle += triple((x.shape[1] * x.shape[2], x.shape[2], 1))
    pickle += b"\x89ccollections\nOrderedDict\n)RtR."
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with zipfile.ZipFile(name, "w") as z:
        z.writestr("x/data.pkl", pickle)
        z.writestr("x/data/0", packed(code, x.values))


def nifti(name, volumes, spacing, sform=None):
    """int16. `spacing` (z, y, x) is the header's pixdim; axes lie RAS unless `sform` turns them."""
    z, y, x = spacing
    d, h, w = volumes[0].shape
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3 + (len(volumes) > 1), w, h, d, len(volumes), 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, x, y, z, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2
    struct.pack_into("<h", header, 254, 1)
    for r, row in enumerate(sform or ((x, 0, 0), (0, y, 0), (0, 0, z))):
        struct.pack_into("<4f", header, 280 + 16 * r, *row, 0)
    header[344:348] = b"n+1\0"
    write(name, bytes(header) + b"".join(packed("h", v.values) for v in volumes))


def read_input(name):
    """The study of a file of --save-inputs, its shape and its values."""
    with open(name, "rb") as f:
        data = f.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    first, last = (begin + at for at in header["input"]["data_offsets"])
    values = struct.unpack("<%df" % ((last - first) // 4), data[first:last])
    return header["__metadata__"]["study"], header["input"]["shape"], values


# ---- the sets: for each (study, its scans as the network should get them), in order ------------
CT_RATE = ["Medical material", "Arterial wall calcification", "Cardiomegaly",
           "Pericardial effusion", "Coronary artery wall calcification", "Hiatal hernia",
           "Lymphadenopathy", "Emphysema", "Atelectasis", "Lung nodule", "Lung opacity",
           "Pulmonary fibrotic sequela", "Pleural effusion", "Mosaic attenuation pattern",
           "Peribronchial thickening", "Consolidation", "Bronchiectasis",
           "Interlobular septal thickening"]
NOT_RAD = ["Medical material", "Lymphadenopathy", "Mosaic attenuation pattern"]
RSNA = ["Any", "Epidural", "Intraparenchymal", "Intraventricular", "Subarachnoid", "Subdural"]
CQ500 = ["ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "BleedLocation-Left", "BleedLocation-Right",
         "ChronicBleed", "Fracture", "CalvarialFracture", "OtherFracture", "MassEffect",
         "MidlineShift", "Anomaly"]
draw = random.Random(5)


def noise(shape, high):
    return make(shape, lambda *_: draw.randint(0, high))


def chest(shape):
    def value(z, y, x):
        return draw.randint(-900, -700) if (x // 3 + z) % 2 else draw.randint(-20, 80)

    return make(shape, value)


def table(key, columns, rows):
    lines = [[key, *columns], *([study, *map(str, values)] for study, values in rows)]
    return "\n".join(",".join(line) for line in lines) + "\n"


def ct_rate():
    """The tree, in stored values that the table's slope and intercept make HU of, at the table's
    spacing, whose decimals are not the header's; and what the published preparation leaves."""
    tree, prepared, labels = [], [], []
    metadata = "VolumeName,XYSpacing,ZSpacing,RescaleSlope,RescaleIntercept\n"
    shapes = [((20, 40, 50), (2.5, 0.9, 0.8)), ((36, 30, 40), (3.0, 1.7, 1.75))]
    for i, (shape, spacing) in enumerate(shapes, 1):
        patient, study, volume = "valid_%d" % i, "valid_%d_a" % i, "valid_%d_a_1" % i
        stored = chest(shape).map(lambda v: (v + 1024) // 2)
        resampled = resample_ct(stored.map(lambda v: 2 * v - 1024), spacing)
        labels.append((volume + ".nii.gz", [i % 2] * len(CT_RATE)))
        metadata += '%s.nii.gz,"[%s, %s]",%s,2,-1024\n' % (volume, *reversed(spacing))
        nifti(path("ct", "valid", patient, study, volume + ".nii.gz"), [stored],
              [1.004 * s for s in spacing])
        torch_file(path("ct_prepared", patient, study, volume + ".pt"), "f", resampled)
        tree.append((volume, [ct_input(resampled)]))
    write(path("ct", "multi_abnormality_labels", "valid_predicted_labels.csv"),
          table("VolumeName", CT_RATE, labels))
    write(path("ct", "metadata", "validation_metadata.csv"), metadata)
    return {"ct-rate": tree, "ct-rate-prepared": tree}


def rad_chestct():
    """0.8 mm, and as the published preparation leaves it."""
    studies, labels, columns = [], [], [c for c in CT_RATE if c not in NOT_RAD]
    for i, study in enumerate(("tst00000", "tst00001")):
        hu = chest((40, 50, 62))
        resampled = resample_ct(hu, (0.8, 0.8, 0.8))
        labels.append((study, [float(i)] * len(columns)))
        if i == 0:
            npz(path("rad", study + ".npz"), "ct", npy("h", hu.shape, hu.values))
        else:
            torch_file(path("rad", study, study + ".pt"), "f", resampled)
        studies.append((study, [ct_input(resampled)]))
    write(path("rad.csv"), table("NoteAcc_DEID", columns, labels))
    return {"rad-chestct": studies}


def pub_brain_5():
    """Each scan at its own size, in double precision where it was of whole numbers; and raw."""
    studies, labels = [], []
    classes = ["Normal", "Stroke", "Glioma", "Meningioma", "Metastasis"]

    def study(name, label, *scans):
        studies.append((name, [brain_input(scan, SLICES) for scan in scans]))
        labels.append((name, [int(c == label) for c in classes]))

    wide, tall = (percentile_scaled(noise(s, 900)) for s in ((9, 20, 30), (30, 41, 36)))
    torch_file(path("brain", "open_bhb", "a", "1.pt"), "d", wide)
    torch_file(path("brain", "open_bhb", "a", "2.pt"), "d", tall)
    study("open_bhb/a", "Normal", wide, tall)
    # of the network's rows and columns, but not prepared; of four axes the last are channels
    square = noise((10, CROP, CROP), 255)
    channels = [v for first in square.values for v in (first, 7)]
    write(path("brain", "nyu_mets", "a", "1.npy"), npy("B", (*square.shape, 2), channels))
    study("nyu_mets/a", "Metastasis", square.map(lambda v: v / 255))
    # equal spacings on a turned grid: axial, though the columns of its matrix are not of one length
    turned = noise((12, 14, 16), 900)
    c, s, e, f = math.cos(0.12), math.sin(0.12), math.cos(0.08), math.sin(0.08)
    nifti(path("brain", "open_bhb", "b", "1.nii"), [turned], (1, 1, 1),
          ((c, -s * e, s * f), (s, c * e, -c * f), (0, f, e)))
    study("open_bhb/b", "Normal", raw_to_slices(turned))
    thick = noise((12, 14, 8), 900)  # BraTS keeps its axes
    nifti(path("brain", "brats23", "glioma", "a", "1.nii"), [thick], (1, 1, 4))
    study("brats23/glioma/a", "Glioma", raw_to_slices(thick))
    diffusion = [noise((6, 14, 16), 900) for _ in range(3)]  # of which the first two are taken
    nifti(path("brain", "stroke", "a", "1.nii.gz"), diffusion, (4, 1, 1))
    study("stroke/a", "Stroke", raw_to_slices(*diffusion[:2]))
    write(path("brain.csv"), table("study", classes, labels))
    return {"pub-brain-5": studies}


def prepared_set(name, columns, folders, own=""):
    """Prepared scans, which are fed as they are, whatever their number of slices.
    @param folders of the scan of a study  @param own what a study is called beside its name"""
    studies, labels = [], []
    for i, slices in enumerate((12, 7)):
        grey = noise((slices, CROP, CROP), 255)
        at = [f.replace("STUDY", "s%d" % i) for f in folders]
        torch_file(path(name, *at, "img.pt"), "B", grey)
        studies.append(("s%d%s" % (i, own), [as_it_is(grey.map(lambda v: v / 255))]))
        labels.append(("s%d" % i, [i] * len(columns)))
    write(path(name + ".csv"), table("study", columns, labels))
    return studies


def brain_mri():
    """The layout of MR-RATE and of train_brain_mri, with a raw scan beside a prepared one."""
    studies = prepared_set("brain-mri", ["Glioma"], ["valid", "STUDY", "T1"])
    raw = noise((9, 20, 30), 900)
    nifti(path("brain-mri", "valid", "s0", "T2", "img.nii"), [raw], (3, 1, 1))
    studies[0][1].append(brain_input(raw_to_slices(raw), 12))
    axial = {"num_slices": 12, "view": "axial"}
    write(path("valid_studies.json"), json.dumps({"s0": {"series": {"T1": axial, "T2": axial}},
                                                  "s1": {"series": {"T1": axial}}}))
    return {"brain-mri": studies}


def sets():
    return {**ct_rate(), **rad_chestct(), **pub_brain_5(),
            "rsna": prepared_set("rsna", RSNA, ["RSNA_STUDY", "series"], "/series"),
            "cq500": prepared_set("cq500", CQ500, ["STUDY", "series"]), **brain_mri()}


def difference(name, file, study, scans):
    """The largest of one study's input; infinite where it is of another study or shape."""
    got_study, shape, values = read_input(path("inputs", name, file))
    want = [v for scan in scans for v in scan.values]
    if got_study != study or tuple(shape) != (len(scans), *scans[0].shape):
        print(name, file, got_study, shape, "instead of", study, (len(scans), *scans[0].shape))
        return math.inf
    return max(abs(a - b) for a, b in zip(values, want))


def compare():
    failed = False
    for name, studies in sets().items():
        files = sorted(os.listdir(path("inputs", name)))
        found = [difference(name, f, *study) for f, study in zip(files, studies)]
        worst = max(found) if len(files) == len(studies) else math.inf
        print("%-17s %d studies, largest difference %.1e" % (name, len(files), worst))
        failed = failed or not worst <= TOLERANCE
    return failed


if sys.argv[1] == "make":
    sets()
else:
    sys.exit(compare())
