"""Draw the diagrams of Part I: `python docs/drawings.py` writes four SVG files to docs/images/.

A drawing is text: each small function returns a piece of SVG, and each drawing puts pieces on a
card. Positions are in units of the card, 720 wide. The same bytes come out at every run.
"""

import math
import pathlib
import random
import re

IMAGES = pathlib.Path(__file__).resolve().parent / "images"

WIDTH = 720
INK = "#222222"
# Paul Tol's "muted" scheme, as in keras_vae.figures.
INDIGO, ROSE, GREEN, SAND = "#332288", "#CC6677", "#117733", "#DDCC77"

# Digits as pen strokes, on a plane of 28 × 28 pixels.
TWO = [(8, 9), (10, 6), (14, 5), (18, 7), (19, 10), (17, 14), (9, 22), (14, 21), (21, 22)]
THREE = [
    (9, 7), (13, 5), (17, 6), (18, 9), (16, 12), (12, 13), (17, 14), (19, 18), (17, 21), (13, 23),
    (9, 21),
]
TORN_THREE = [
    (9, 8), (12, 5), (18, 5), (17, 10), (13, 13), (11, 12), (18, 14), (18, 18), (20, 21), (14, 21),
    (11, 24), (7, 20),
]


def number(value):
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def pairs(points):
    """Return points as SVG writes them."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


# The pieces: each function returns SVG.


def card(height, title, seen, *parts):
    """Return a whole drawing: the parts on a white card, legible on a dark page too.

    Args:
        height: Of the card, in units.
        title: Its name.
        seen: What is seen, in at most 200 characters, to serve as alternative text.
        parts: Pieces of SVG, the lowest first.
    """
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img" font-family="sans-serif">',
        f"<title>{title}</title>",
        f"<desc>{seen}</desc>",
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="14" fill="#FFFFFF"'
        ' stroke="#BBBBBB"/>',
        *parts,
        "</svg>\n",
    ))


def label(x, y, *lines, size=15, anchor="middle", bold=False, turn=0):
    """Return lines of text; the first has its baseline at y, and what stands in *stars* slants.

    Args:
        x, y: Of the anchor of the first line.
        lines: Text.
        size: Of the letters, at least 13.
        anchor: What lies at x: "start", "middle" or "end" of each line.
        bold: Whether the first line is bold.
        turn: Degrees, clockwise.
    """
    spans = []
    for i, line in enumerate(lines):
        line = re.sub(r"\*(.+?)\*", r'<tspan font-style="italic">\1</tspan>', line)
        down = f' dy="{number(1.3 * size)}"' if i else ""
        weight = ' font-weight="bold"' if bold and i == 0 else ""
        spans.append(f'<tspan x="{number(x)}"{down}{weight}>{line}</tspan>')
    turned = f' transform="rotate({turn} {number(x)} {number(y)})"' if turn else ""
    return (
        f'<text y="{number(y)}" font-size="{size}" text-anchor="{anchor}" fill="{INK}"{turned}>'
        + "".join(spans) + "</text>"
    )


def middle(x, y, *lines, size=15, **style):
    """Return lines of text whose block has its centre at (x, y)."""
    return label(x, y + size * (0.36 - 0.65 * (len(lines) - 1)), *lines, size=size, **style)


def shape(points, colour, outline=None):
    """Return a polygon: a thin tint of its colour inside, the full colour as its outline."""
    return (
        f'<polygon points="{pairs(points)}" fill="{colour}" fill-opacity="0.18"'
        f' stroke="{outline or colour}" stroke-width="2" stroke-linejoin="round"/>'
    )


def box(left, top, right, bottom, *lines, colour=INK, outline=None, **style):
    """Return a box with lines of text in its centre."""
    corners = (left, top), (right, top), (right, bottom), (left, bottom)
    text = middle((left + right) / 2, (top + bottom) / 2, *lines, **style)
    return shape(corners, colour, outline) + text


def network(left, right, y, left_height, right_height, name, colour):
    """Return a trapezium with its name inside: a network that narrows or widens what it passes."""
    corners = (
        (left, y - left_height / 2), (right, y - right_height / 2),
        (right, y + right_height / 2), (left, y + left_height / 2),
    )
    return shape(corners, colour) + middle((left + right) / 2, y, name)


def line(*points, colour=INK, width=2, dashed=False):
    """Return a line through points."""
    dashes = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<polyline points="{pairs(points)}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f' stroke-linejoin="round"{dashes}/>'
    )


def head(start, tip, colour=INK):
    """Return an arrowhead at `tip`, pointing away from `start`."""
    x, y = tip
    angle = math.atan2(y - start[1], x - start[0])
    wings = [
        (x - 11 * math.cos(angle + side), y - 11 * math.sin(angle + side)) for side in (0.42, -0.42)
    ]
    return f'<polygon points="{pairs([tip, *wings])}" fill="{colour}"/>'


def arrow(*points, colour=INK, dashed=False):
    """Return an arrow through points, with its head at the last."""
    (x, y), (before_x, before_y) = points[-1], points[-2]
    length = math.hypot(x - before_x, y - before_y)
    end = x - 8 * (x - before_x) / length, y - 8 * (y - before_y) / length  # hidden by the head
    drawn = line(*points[:-1], end, colour=colour, dashed=dashed)
    return drawn + head(points[-2], points[-1], colour)


def distance(point, start, end):
    """Return how far a point is from the straight stroke between two others."""
    (x, y), (x0, y0), (x1, y1) = point, start, end
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
    along = min(1, max(0, along))
    return math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))


def digit(left, top, pixel, strokes, softness=1.5):
    """Return a grey image of 28 × 28 pixels, white strokes on black.

    Args:
        left, top: Of the image.
        pixel: Side of one pixel, in units.
        strokes: Points of the pen's path, in pixels.
        softness: How many pixels the stroke takes to fade.
    """
    squares = {}  # from each grey to its pixels, as one path
    for row in range(28):
        for column in range(28):
            centre = column + 0.5, row + 0.5
            away = min(distance(centre, *ends) for ends in zip(strokes, strokes[1:]))
            level = min(8, max(0, round(8 * (0.5 + (1.3 - away) / softness))))
            grey = f"#{3 * ('%02X' % (level * 255 // 8))}"
            squares[grey] = squares.get(grey, "") + f"M{column} {row}h1v1h-1z"
    squares["#000000"] = "M0 0h28v28h-28z"  # black is the ground under all others
    paths = "".join(f'<path fill="{grey}" d="{squares[grey]}"/>' for grey in sorted(squares))
    return (
        f'<g transform="translate({number(left)} {number(top)}) scale({pixel})"'
        f' shape-rendering="crispEdges">{paths}</g>'
    )


def numbers(left, top, columns, rows, cell, seed):
    """Return a block of cells of random grey: that many numbers, a code or noise."""
    draw = random.Random(seed).random
    cells = []
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        grey = "%02X" % int(80 + 175 * draw())
        cells.append(
            f'<rect x="{number(left + cell * column)}" y="{number(top + cell * row)}"'
            f' width="{cell}" height="{cell}" fill="#{3 * grey}"/>'
        )
    frame = (
        f'<rect x="{number(left)}" y="{number(top)}" width="{cell * columns}"'
        f' height="{cell * rows}" fill="none" stroke="{INK}" stroke-width="1.5"/>'
    )
    return "".join(cells) + frame


def cloud(x, y, across, down, colour, width=1):
    """Return a normal distribution seen from above, denser towards its centre."""
    return "".join(
        f'<ellipse cx="{number(x)}" cy="{number(y)}" rx="{number(across * ring)}"'
        f' ry="{number(down * ring)}" fill="{colour}" fill-opacity="0.2" stroke="{colour}"'
        f' stroke-width="{width if ring == 1 else 0}"/>'
        for ring in (1, 0.7, 0.4)
    )


def circle(x, y, radius, colour, dashed=False, filled=False):
    """Return a circle, an outline or a dot."""
    dashes = ' stroke-dasharray="7 5"' if dashed else ""
    return (
        f'<circle cx="{number(x)}" cy="{number(y)}" r="{radius}" stroke="{colour}"'
        f' stroke-width="2" fill="{colour if filled else "none"}"{dashes}/>'
    )


# The drawings.


def hourglass():
    """Draw the autoencoder of chapter 1."""
    y = 124  # of everything that data pass through
    return card(
        280,
        "An autoencoder",
        "An encoder squeezes an image of 784 pixels into a code of 32 numbers, and a decoder makes "
        "a copy of the image from them. The loss measures how far the copy is from the image.",
        label(77, 39, "image", "784 pixels", bold=True),
        digit(28, y - 49, 3.5, TWO),
        arrow((130, y), (166, y)),
        network(170, 306, y, 150, 76, "encoder", INDIGO),
        arrow((308, y), (338, y)),
        label(360, 39, "code", "32 numbers", bold=True),
        numbers(342, y - 36, 4, 8, 9, seed=1),
        arrow((382, y), (412, y)),
        network(414, 550, y, 76, 150, "decoder", GREEN),
        arrow((554, y), (590, y)),
        digit(594, y - 49, 3.5, TWO, softness=4),
        label(643, 39, "copy", "784 pixels", bold=True),
        box(186, 225, 534, 259, "loss: how far is the copy from the image?", colour=ROSE),
        arrow((77, y + 53), (77, 242), (182, 242)),
        arrow((643, y + 53), (643, 242), (538, 242)),
    )


def vae():
    """Draw the variational autoencoder of chapter 4."""
    top, bottom = 100, 326  # of the way in and of the way out
    x, y, radius = 582, 154, 98  # of the prior
    others = [
        (-54, -28, 34, 27), (-6, -58, 38, 28), (48, -44, 30, 36), (60, 20, 32, 38), (14, 4, 30, 32),
        (10, 62, 38, 29), (-20, -20, 27, 25), (44, 54, 28, 32),
    ]
    return card(
        416,
        "A variational autoencoder",
        "The encoder gives each image x a small cloud N(μ, σ²), and a point z of it is decoded to "
        "a copy x̂. One loss compares x̂ with x, the other compares the cloud with the prior.",
        # In: the image, the encoder, its two heads.
        label(63, top - 47, "image *x*"),
        digit(28, top - 35, 2.5, TWO),
        arrow((102, top), (134, top)),
        network(138, 228, top, 124, 78, "encoder", INDIGO),
        arrow((230, top - 8), (268, top - 20)),
        arrow((230, top + 8), (268, top + 20)),
        box(272, top - 40, 342, top - 6, "*μ*", colour=INDIGO),
        box(272, top + 6, 342, top + 40, "log *σ*²", colour=INDIGO),
        # The plane of z.
        label(x, y - radius - 18, "prior *N*(0, *I*)"),
        circle(x, y, radius, INK, dashed=True),
        *(cloud(x + right, y + down, *radii, "#777777") for right, down, *radii in others),
        cloud(x - 48, y + 34, 36, 28, INDIGO, width=2),
        line((344, top - 22), (362, top), (344, top + 22)),
        arrow((362, top), (x - 82, y + 22)),
        label(402, top - 14, "cloud *N*(*μ*, *σ*²)", anchor="start"),
        label(650, bottom - 54, "one small cloud", "for each image", size=14),
        # Out: a point of the cloud, the decoder, the copy.
        circle(x - 58, y + 30, 4, INK, filled=True),
        label(x - 46, y + 38, "*z*"),
        arrow((x - 48, y + 64), (x - 48, bottom - 24)),
        box(484, bottom - 20, 608, bottom + 20, "*z* = *μ* + *σ* *ε*", colour=SAND, outline=INK),
        label(546, bottom + 44, "drawn from the cloud", size=14),
        arrow((636, bottom), (612, bottom)),
        label(668, bottom - 4, "noise", "*ε* ~ *N*(0, *I*)", size=14),
        arrow((480, bottom), (442, bottom)),
        network(348, 438, bottom, 124, 78, "decoder", GREEN),
        arrow((344, bottom), (276, bottom)),
        label(312, bottom - 10, "logits", size=14),
        box(196, bottom - 20, 272, bottom + 20, "sigmoid", colour=GREEN),
        arrow((192, bottom), (102, bottom)),
        digit(28, bottom - 35, 2.5, TWO, softness=4),
        label(63, bottom + 58, "copy *x̂*"),
        # The losses.
        box(28, 188, 206, 238, "reconstruction loss", "*x̂* against *x*", colour=ROSE, bold=True),
        arrow((63, top + 39), (63, 184)),
        arrow((63, bottom - 39), (63, 242)),
        box(256, 188, 424, 238, "KL loss", "cloud against prior", colour=ROSE, bold=True),
        arrow((x - 87, y + 36), (428, 204)),
        arrow((x - 65, y + 75), (428, 224)),
    )


def gan():
    """Draw the adversarial game of chapter 8."""
    fake, real = 146, 290
    y = (fake + real) / 2
    return card(
        436,
        "A generative adversarial network",
        "A generator turns noise into fake images. A discriminator sees fake and real ones and "
        "gives the probability D of being real. Each of the two networks is trained by its own "
        "loss.",
        label(58, fake - 44, "noise *z*"),
        numbers(28, fake - 30, 10, 10, 6, seed=2),
        arrow((92, fake), (116, fake)),
        network(120, 214, fake, 70, 112, "generator", GREEN),
        arrow((218, fake), (246, fake)),
        digit(250, fake - 42, 3, TORN_THREE, softness=2.5),
        label(292, fake + 62, "fake image"),
        digit(250, real - 42, 3, THREE),
        label(292, real + 62, "real image"),
        arrow((338, fake), (376, y - 24)),
        arrow((338, real), (376, y + 24)),
        network(380, 496, y, 112, 70, "discriminator", INDIGO),
        arrow((500, y), (538, y)),
        box(542, y - 36, 674, y + 36, "*D*", "probability", "of being real", colour=INDIGO,
            bold=True),
        # The returns.
        arrow((608, y - 40), (608, 98)),
        box(514, 20, 702, 94, "generator's loss", "wants *D* near 1", "for fake images",
            colour=ROSE, size=14, bold=True),
        arrow((510, 57), (167, 57), (167, fake - 48), colour=GREEN, dashed=True),
        label(338, 47, "trains the generator, through D"),
        arrow((608, y + 40), (608, 338)),
        box(514, 342, 702, 416, "discriminator's loss", "wants *D* near 1 for real,",
            "near 0 for fake images", colour=ROSE, size=14, bold=True),
        arrow((510, 379), (438, 379), (438, y + 50), colour=INDIGO, dashed=True),
        label(504, 401, "trains the discriminator", anchor="end"),
    )


def rate_distortion():
    """Draw the plane of rate and distortion of chapter 5: the hyperbola stands for any such curve.

    In nats the curve is v = 140² / u; it has the slope −β where u = 140 / √β.
    """
    left, bottom = 84, 378

    def place(u, v):
        return left + 1.9 * (u - 52), bottom - 0.95 * (v - 24)

    def tangent(beta, before, after, picture):
        """Return the line of slope −β that touches the curve, and its point joined to a picture."""
        u, v = 140 / math.sqrt(beta), 140 * math.sqrt(beta)
        ends = [place(u + step, v - beta * step) for step in (-before, after)]
        point = place(u, v)
        return (
            line(*ends, dashed=True) + line(point, picture, width=1)
            + circle(*point, 5, INDIGO, filled=True)
        )

    curve = [place(u, 140**2 / u) for u in range(52, 364, 4)]
    corner = place(52, 24)
    return card(
        436,
        "Rate against distortion",
        "The least distortion falls along a convex curve as the rate rises. Lines of slope −β "
        "touch it: at low rate, with softer copies, for large β; at high rate, with better copies, "
        "for small β.",
        f'<polygon points="{pairs([corner, *curve, (curve[-1][0], bottom)])}" fill="{SAND}"'
        ' fill-opacity="0.25"/>',
        line(*curve, colour=INDIGO, width=3),
        arrow(corner, (left, 28)),
        arrow(corner, (700, bottom)),
        label(390, bottom + 36, "rate: KL loss, nats per image"),
        label(50, 205, "distortion: reconstruction loss, nats per image", turn=-90),
        label(692, 331, "the best achievable", anchor="end"),
        label(190, 346, "out of reach"),
        tangent(4, 16, 20, (148, 118)),
        label(124, 238, "slope −*β*", size=14),
        digit(150, 62, 2, TWO, softness=9),
        label(218, 72, "*β* large", "softer copies, less", "told about the image", anchor="start",
              bold=True),
        tangent(1, 40, 30, (288, 229)),
        label(288, 316, "slope −1", size=14),
        digit(290, 172, 2, TWO, softness=5),
        label(358, 192, "*β* = 1", "least rate + distortion", anchor="start", bold=True),
        tangent(0.25, 65, 80, (500, 296)),
        label(500, 368, "slope −*β*", size=14),
        digit(470, 238, 2, TWO),
        label(538, 248, "*β* small", "better copies, more", "told about the image", anchor="start",
              bold=True),
    )


def main(folder=IMAGES):
    """Write the drawings into a folder, as <name>.svg."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for drawing in (hourglass, vae, gan, rate_distortion):
        (folder / f"{drawing.__name__}.svg").write_bytes(drawing().encode())


if __name__ == "__main__":
    main()
