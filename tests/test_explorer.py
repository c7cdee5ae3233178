"""The page of the latent plane: what is written, and what a real browser makes of it."""

import base64
import io
import itertools
import json
import pathlib
import re
import shutil
import time
import types

import keras
import matplotlib.colors
import numpy as np
import PIL.Image
import pytest

try:
    from selenium import webdriver
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput
except ModuleNotFoundError:
    webdriver = None

import keras_vae
from keras_vae import explorer, figures

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage"
)


def lively(decoder):
    """Give a decoder random weights whose pictures differ much from place to place."""
    rng = np.random.default_rng(0)
    decoder.set_weights(
        [rng.normal(size=w.shape, scale=3 / len(w) ** 0.5) for w in decoder.get_weights()]
    )
    return decoder


def make_vae(**kwargs):
    return keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (16,), 2),
        lively(keras_vae.dense_decoder(2, (16, 32), 784, **kwargs)),
    )


def make_autoencoder():
    return keras_vae.Autoencoder(
        keras_vae.dense_encoder(784, (16,), 2),
        lively(keras_vae.dense_decoder(2, (24,), 784, "sigmoid", activation="tanh")),
    )


class Page:
    """A page, and all that it was made of."""

    def __init__(self, folder):
        _, (images, labels) = keras_vae.load_digits()
        self.images, self.labels = images[:200], labels[:200]
        keras.utils.set_random_seed(0)
        self.models = {"VAE": make_vae(), "autoencoder": make_autoencoder()}
        self.path = keras_vae.latent_explorer(
            folder / "page.html", self.models, self.images, self.labels, title="A plane & more"
        )
        self.text = self.path.read_text(encoding="utf-8")

    def codes(self, name):
        codes = self.models[name].encode(self.images)
        return codes[0] if name == "VAE" else codes

    def shares(self, name):
        """Return where the images' codes lie in the drawn part: from the left, from the top."""
        codes = self.codes(name)
        low, high = codes.min(0), codes.max(0)
        shares = (codes - low + 0.04 * (high - low)) / (1.08 * (high - low))
        return np.stack([shares[:, 0], 1 - shares[:, 1]], axis=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return Page(tmp_path_factory.mktemp("explorer"))


def content_of(text):
    """Return the data that a page carries."""
    return json.loads(re.search(r'id="content">(.*?)</script>', text, re.DOTALL)[1])


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


# What is written.


def test_the_page_is_one_small_file_that_loads_nothing(page):
    assert page.path.stat().st_size < 3e6
    assert not re.search(r"https?:|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket", page.text)
    loads = re.findall(r'\b(?:src|href)\s*=\s*["\'`](.{5})', page.text)
    assert loads and set(loads) == {"data:"}
    assert "default-src 'none'" in page.text and "{{" not in page.text
    assert "<title>A plane &amp; more</title>" in page.text
    assert [file.name for file in page.path.parent.iterdir()] == ["page.html"]


def test_the_weights_in_the_page_give_what_keras_gives(page):
    content = content_of(page.text)
    z = np.random.default_rng(0).normal(size=(20, 2), scale=2).astype("float32")
    for model in content["models"]:
        x = z
        for layer in model["layers"]:
            x = x @ floats(layer["kernel"]).reshape(layer["inputs"], layer["units"])
            x = explorer.ACTIVATIONS[layer["activation"]](x + floats(layer["bias"]))
        expected = page.models[model["name"]].decode(z)
        assert expected.std(axis=0).mean() > 0.1  # not the same picture everywhere
        np.testing.assert_allclose(x, expected, atol=1e-5)
        codes = floats(model["codes"]).reshape(-1, 2)
        np.testing.assert_allclose(codes, page.codes(model["name"]), atol=1e-5)
    assert [model["name"] for model in content["models"]] == list(page.models)


def test_the_originals_travel_in_one_picture(page):
    content = content_of(page.text)
    assert content["labels"] == page.labels.tolist()
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(content["originals"])))
    picture = np.asarray(picture)
    for i in (0, 24, 25, 199):
        row, column = divmod(i, content["columns"])
        cell = picture[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
        np.testing.assert_array_equal(cell.ravel(), np.rint(255 * page.images[i]))


def test_chapter_5s_networks_and_500_images_stay_small(tmp_path):
    decoder = keras_vae.dense_decoder(2, (32, 64, 128), 784)
    vae = keras_vae.VAE(keras_vae.gaussian_encoder(784, (128, 64), 2), decoder)
    images = np.random.default_rng(0).uniform(size=(500, 784))  # noise: the worst that PNG can get
    path = keras_vae.latent_explorer(
        tmp_path / "a.html", {"one": vae, "two": vae}, images, np.arange(500) % 10
    )
    assert path.stat().st_size < 3e6


def test_names_and_titles_can_not_break_the_page(tmp_path, page):
    name = '</script><script>alert("1")</script>{{title}}'
    models = {name: page.models["VAE"]}
    path = keras_vae.latent_explorer(
        tmp_path / "a.html", models, page.images, page.labels, title=name
    )
    text = path.read_text(encoding="utf-8")
    assert text.count("</script>") == 2 and content_of(text)["models"][0]["name"] == name
    assert "&lt;/script&gt;" in text


def test_the_colours_differ_also_for_the_colour_blind():
    """By day those of figures.py; by night, ten that stand out from the dark, as far apart."""
    template = pathlib.Path(explorer.__file__).with_name("explorer.html").read_text("utf-8")
    colours = re.findall(r"--c\d: (#\w{6})", template)
    day, night = colours[:10], colours[10:]
    assert tuple(day) == figures.COLOURS and len(night) == 10
    deuteranopia = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    protanopia = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    rgb = np.array([matplotlib.colors.to_rgb(colour) for colour in night])
    for matrix in (np.eye(3), np.array(deuteranopia), np.array(protanopia)):
        seen = rgb @ matrix.T
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.3
    assert min(contrast(colour, "#161920") for colour in rgb) > 3.9


def contrast(one, other):
    """Return the contrast of two colours (WCAG 2.2)."""
    luminances = []
    for colour in (one, other):
        c = np.array(matplotlib.colors.to_rgb(colour))
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        luminances.append(c @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(luminances) / min(luminances)


def conv_vae():
    return keras_vae.VAE(
        keras_vae.conv_encoder((28, 28), (2, 2), 2), keras_vae.conv_decoder(2, (2, 2), (28, 28))
    )


def with_decoder(join):
    """Return two networks, the decoder's hidden layers joined by the function `join`."""
    inputs = keras.Input((2,))
    layers = [keras.layers.Dense(2), keras.layers.Dense(2)]
    outputs = keras.layers.Dense(784, "sigmoid")(join(inputs, *layers))
    encoder = keras_vae.dense_encoder(784, (8,), 2)
    return types.SimpleNamespace(encoder=encoder, decoder=keras.Model(inputs, outputs))


def other_vae(**kwargs):
    sizes = {"pixels": 784, "latent_dim": 2, "activation": "relu", **kwargs}
    return keras_vae.VAE(
        keras_vae.gaussian_encoder(sizes["pixels"], (8,), sizes["latent_dim"]),
        keras_vae.dense_decoder(
            sizes["latent_dim"], (8,), sizes["pixels"], activation=sizes["activation"]
        ),
    )


def untrained_nan():
    vae = make_vae()
    vae.encoder.set_weights([np.full_like(w, np.nan) for w in vae.encoder.get_weights()])
    return vae


def half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    return make_vae()


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"images": lambda x: x[:, :700]}, ValueError, r"shape \(num, 784\).* got \(20, 700\)"),
        ({"images": lambda x: x[:0]}, ValueError, "num at least 1"),
        ({"images": lambda x: x.reshape(-1, 28, 28)}, ValueError, "images must have shape"),
        ({"images": lambda x: (255 * x).astype("uint8")}, ValueError, "floating point.* uint8"),
        ({"images": lambda x: 255 * x}, ValueError, r"lie in \[0, 1\], got 0 to 255"),
        ({"images": lambda x: x - 0.5}, ValueError, r"lie in \[0, 1\], got -0.5"),
        ({"images": lambda x: np.where(x > 0, np.nan, x)}, ValueError, "finite"),
        ({"labels": lambda y: y[:3]}, ValueError, "one integer for each of the 20 images"),
        ({"labels": lambda y: y.astype(float)}, ValueError, "labels must be one integer"),
        ({"labels": lambda y: np.arange(20)}, ValueError, "at most ten different values, got 20"),
        ({"models": lambda: []}, TypeError, "must be a dictionary"),
        ({"models": lambda: {}}, TypeError, "must be a dictionary"),
        ({"models": lambda: make_vae()}, TypeError, "must be a dictionary"),
        ({"models": lambda: {"a": keras.Sequential()}}, TypeError, "encoder and decoder, got 'a'"),
        ({"models": lambda: {1: make_vae()}}, TypeError, "encoder and decoder, got 1"),
        ({"models": lambda: {"a": other_vae(latent_dim=3)}}, ValueError, "code of two.* got .*3"),
        ({"models": lambda: {"a": other_vae(pixels=64)}}, ValueError, "784 pixels.* got .*64"),
        ({"models": lambda: {"a": conv_vae()}}, ValueError, "Dense layers, got a Reshape"),
        ({"models": lambda: {"a": other_vae(activation="elu")}}, ValueError, "hidden_1.*elu"),
        ({"models": lambda: {"a": other_vae(activation=keras.layers.LeakyReLU())}}, ValueError,
         "linear, relu, sigmoid, tanh, got"),
        ({"models": lambda: {"a": with_decoder(lambda x, one, two: one(two(one(x))))}}, ValueError,
         "must be a chain of its Dense layers"),
        ({"models": lambda: {"a": with_decoder(lambda x, one, two: one(x) + two(x))}}, ValueError,
         "must be a chain of its Dense layers"),
        ({"models": lambda: {"a": untrained_nan()}}, ValueError, "codes must be finite"),
        ({"models": lambda: {"a": half_precision()}}, ValueError, "computed in float32"),
        ({"models": lambda: dict.fromkeys(map(str, range(25)), make_vae(activation="tanh"))},
         ValueError, "at most 3 MB, got .* 20 images and 25 models: give fewer"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(change, error, words, tmp_path, page):
    images, labels = page.images[:20], page.labels[:20]
    images = change.get("images", lambda x: x)(images)
    labels = change.get("labels", lambda y: y)(labels)
    models = change.get("models", lambda: {"VAE": page.models["VAE"]})()
    with pytest.raises(error, match=words):
        keras_vae.latent_explorer(tmp_path / "page.html", models, images, labels)
    assert not list(tmp_path.iterdir())


def test_a_place_that_can_not_be_written_is_named(tmp_path, page):
    models = {"VAE": page.models["VAE"]}
    (tmp_path / "file").write_text("a file where a folder should be")
    for path in (tmp_path / "missing" / "a.html", tmp_path / "file" / "a.html", tmp_path):
        with pytest.raises(OSError, match=f"cannot write {re.escape(str(path))}"):
            keras_vae.latent_explorer(path, models, page.images, page.labels)
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


# What a browser makes of it.


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if not (webdriver and program and driver):
        pytest.skip("needs Chromium, its driver and Selenium: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


class Shown:
    """A page in a browser."""

    def __init__(self, browser, page):
        self.browser = browser
        self.page = page

    def open(self, width=1280, height=950, theme="light", touch=False):
        command = self.browser.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 2 if touch else 1,
            "mobile": touch,
        })
        command("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        command("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": theme}]
        })
        self.browser.get(self.page.path.as_uri())
        self.wait("return document.documentElement.dataset.ready === 'yes'")

    def wait(self, script):
        end = time.monotonic() + 20
        while not self.run(script):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, name):
        return self.browser.find_element("id", name)

    @property
    def state(self):
        return self.run("return explorer.state()")

    def drawn(self, name):
        """Return the pixels of a canvas that holds pictures, (28, 28 · pictures), in [0, 1]."""
        alpha = self.run(
            "const c = document.getElementById(arguments[0]) || arguments[0];"
            "const context = new OffscreenCanvas(c.width, c.height).getContext('2d');"
            "context.drawImage(c, 0, 0);"
            "const {data} = context.getImageData(0, 0, c.width, c.height);"
            "return Array.from({length: c.width * c.height}, (_, i) => data[4 * i + 3])", name
        )
        return np.reshape(alpha, (28, -1)) / 255

    def hover(self, u, v):
        """Move the mouse to shares of the plane, from the left and from the top; return them."""
        plane = self.find("plane")
        frame = self.run("const r = arguments[0].getBoundingClientRect();"
                         "return [r.left, r.top, r.width, r.height]", plane)
        x, y = round(frame[0] + u * frame[2]), round(frame[1] + v * frame[3])
        action = webdriver.ActionChains(self.browser, duration=0)
        action.w3c_actions.pointer_action.move_to_location(x, y)
        action.perform()
        return (x - frame[0]) / frame[2], (y - frame[1]) / frame[3]

    def click(self, u, v):
        self.hover(u, v)
        webdriver.ActionChains(self.browser).click().perform()

    def switch(self, name):
        self.browser.find_element("css selector", f"input[value={name}]").click()


@pytest.fixture
def shown(browser, page):
    shown = Shown(browser, page)
    browser.get_log("browser"), browser.get_log("performance")
    shown.open()
    yield shown
    assert not browser.get_log("browser")  # no error, no warning, nothing that was refused
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    uri = page.path.as_uri()
    # The browser's own start page asks for things too.
    urls = {ask["request"]["url"] for ask in requests if ask["documentURL"] == uri}
    assert {url for url in urls if not url.startswith("data:")} == {uri}


def assert_drawn(drawn, expected):
    """The screen has 256 greys: half of one is added to what is allowed."""
    np.testing.assert_allclose(np.ravel(drawn), np.ravel(expected), atol=1e-3 + 0.5 / 255)


def test_the_digit_shown_is_the_decoders(shown):
    """Hover over ten places of each model: twenty in all."""
    places = np.random.default_rng(0).uniform(0.02, 0.98, size=(20, 2))
    for name, some in zip(shown.page.models, np.split(places, 2)):
        shown.switch(name)
        codes = shown.page.codes(name)
        low, high = codes.min(0), codes.max(0)
        for u, v in some:
            u, v = shown.hover(u, v)
            z = np.array(shown.state["z"])
            share = np.array([u, 1 - v])
            np.testing.assert_allclose(
                z, low + (1.08 * share - 0.04) * (high - low), atol=1e-3 * (high - low).max()
            )
            expected = shown.page.models[name].decode(z[None].astype("float32"))[0]
            computed = shown.run("return explorer.decode(...arguments[0])", z.tolist())
            np.testing.assert_allclose(computed, expected, atol=1e-3)
            assert_drawn(shown.drawn("digit"), expected)
            place = shown.find("place").text
            assert f"z₁ {z[0]:.2f}, z₂ {z[1]:.2f}".replace("-", "−") in place
            box = (high - low) * 1.08
            distance = np.linalg.norm((codes - z) / box, axis=1)
            assert f"a {shown.page.labels[distance.argmin()]}, " in place
            assert f"{100 * distance.min():.1f} %" in place


def lonely(shares):
    """Return the number of the point that is farthest from its nearest neighbour."""
    distance = np.linalg.norm(shares[:, None] - shares, axis=-1) + 9 * np.eye(len(shares))
    return int(distance.min(0).argmax())


def test_a_click_shows_the_original_beside_its_reconstruction(shown):
    for name, model in shown.page.models.items():
        shown.switch(name)
        shares = shown.page.shares(name)
        number = lonely(shares)
        shown.click(*shares[number])
        assert shown.state["picked"] == number
        np.testing.assert_allclose(shown.state["z"], shown.page.codes(name)[number], atol=1e-4)
        x = shown.page.images[number]
        np.testing.assert_array_equal(
            np.rint(255 * shown.drawn("original")).ravel(), np.rint(255 * x)
        )
        assert_drawn(shown.drawn("copy"), model.reconstruct(x[None])[0])
        assert shown.find("heading-image").text == f"Test image {number + 1}: a " + str(
            shown.page.labels[number]
        )
        # Far from all points a click takes none.
        grid = np.stack(np.meshgrid(*2 * [np.linspace(0.02, 0.98, 30)]), axis=-1).reshape(-1, 2)
        distance = np.linalg.norm(grid[:, None] - shares, axis=-1).min(1)
        shown.click(*grid[distance.argmax()])
        assert shown.state["picked"] == number


def test_the_slider_walks_a_straight_line(shown):
    shares = shown.page.shares("VAE")
    first = lonely(shares)
    second = int(np.linalg.norm(shares - shares[first], axis=1).argmax())
    for number, button in ((first, "as-from"), (second, "as-to")):
        shown.click(*shares[number])
        number = shown.state["picked"]  # another may lie on the same pixel
        shown.find(button).click()
        assert shown.state["to" if button == "as-to" else "from"] == number
    state = shown.state
    slider = shown.find("walk")
    for key, t in (("HOME", 0), ("ARROW_RIGHT", 0.01), ("END", 1), ("ARROW_LEFT", 0.99)):
        slider.send_keys(getattr(webdriver.Keys, key))
        for name in shown.page.models:
            shown.switch(name)
            start, end = shown.page.codes(name)[[state["from"], state["to"]]]
            z = start + t * (end - start)
            np.testing.assert_allclose(shown.state["z"], z, atol=1e-4)
            assert_drawn(shown.drawn("digit"), shown.page.models[name].decode(z[None])[0])
    assert slider.get_attribute("aria-valuetext") == "99 % of the way"
    strips = shown.browser.find_elements("css selector", ".strip")
    for strip, (name, model) in zip(strips, shown.page.models.items(), strict=True):
        start, end = shown.page.codes(name)[[state["from"], state["to"]]]
        pictures = model.decode(np.linspace(start, end, 11).astype("float32"))
        assert_drawn(shown.drawn(strip), np.hstack(pictures.reshape(11, 28, 28)))


def test_the_switch_changes_the_model_and_keeps_the_test_image(shown):
    shares = shown.page.shares("VAE")
    shown.click(*shares[lonely(shares)])
    number = shown.state["picked"]
    picture = "return document.getElementById('plane').toDataURL()"
    before = shown.run(picture)
    shown.switch("autoencoder")
    state = shown.state
    assert state["model"] == "autoencoder" and state["picked"] == number
    np.testing.assert_allclose(state["z"], shown.page.codes("autoencoder")[number], atol=1e-4)
    assert shown.run(picture) != before
    model = shown.page.models["autoencoder"]
    assert_drawn(shown.drawn("copy"), model.reconstruct(shown.page.images[[number]])[0])
    shown.switch("VAE")
    assert shown.run(picture) == before
    shown.find("dots").click()
    assert shown.run(picture) != before


def test_the_keyboard_does_it_all(shown):
    keys = webdriver.Keys
    seen = []
    for _ in range(6):
        webdriver.ActionChains(shown.browser).send_keys(keys.TAB).perform()
        name, outline = shown.run(
            "const e = document.activeElement;"
            "return [e.id || e.value || '', getComputedStyle(e).outline]"
        )
        seen.append(name)
        assert "solid 3px" in outline, (name, outline)
    assert seen == ["VAE", "plane", "as-from", "as-to", "walk", "dots"]
    plane = shown.find("plane")
    box = np.array(shown.state["box"])
    side = box[:, 1] - box[:, 0]
    z = np.array(shown.state["z"])
    for key, step in (("RIGHT", [0.02, 0]), ("UP", [0, 0.02]), ("LEFT", [-0.02, 0]),
                      ("DOWN", [0, -0.02])):
        plane.send_keys(getattr(keys, f"ARROW_{key}"))
        z = z + np.array(step) * side
        np.testing.assert_allclose(shown.state["z"], z, atol=1e-5)
    plane.send_keys(keys.SHIFT, keys.ARROW_UP)
    np.testing.assert_allclose(shown.state["z"], z + [0, 0.1] * side, atol=1e-5)
    for _ in range(15):
        plane.send_keys(keys.SHIFT, keys.ARROW_UP)
    assert shown.state["z"][1] == pytest.approx(box[1, 1])  # it stops at the edge
    codes = shown.page.codes("VAE")
    nearest = np.linalg.norm((codes - shown.state["z"]) / side, axis=1).argmin()
    plane.send_keys(keys.ENTER)
    assert shown.state["picked"] == nearest
    shown.browser.find_element("css selector", "input[value=VAE]").send_keys(keys.ARROW_RIGHT)
    assert shown.state["model"] == "autoencoder"


def test_a_screen_reader_finds_names_and_hears_the_place(shown):
    for element in shown.browser.find_elements("css selector", "canvas, input, button"):
        assert element.accessible_name, element.get_attribute("outerHTML")
    assert shown.find("plane").aria_role == "application"
    shown.find("plane").send_keys(webdriver.Keys.ARROW_LEFT)
    heard = f"VAE: z₁ {shown.state['z'][0]:.2f}".replace("-", "−")
    shown.wait(f"return document.getElementById('announce').textContent.includes('{heard}')")
    assert "Nearest of the 200" in shown.find("announce").get_attribute("textContent")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(shown, theme):
    shown.open(theme=theme)
    for selector in ("h1", "p", "#place", "#axes", "label", "button", "figcaption", ".name"):
        colours = shown.run(
            "const e = document.querySelector(arguments[0]), s = getComputedStyle(e);"
            "let b = s.backgroundColor;"
            "if (b === 'rgba(0, 0, 0, 0)') b = getComputedStyle(document.body).backgroundColor;"
            "return [s.color, b]", selector
        )
        colours = [np.array(re.findall(r"\d+", c)[:3], float) / 255 for c in colours]
        assert contrast(*colours) > 4.5, (selector, colours)
    page_is_dark = colours[1].mean() < 0.5
    assert page_is_dark == (theme == "dark")


def test_a_finger_on_a_narrow_screen(shown):
    shown.open(width=390, height=844, touch=True)
    width = "return [document.documentElement.scrollWidth, innerWidth]"
    assert shown.run(width) == [390, 390]
    frame = shown.run("const r = document.getElementById('plane').getBoundingClientRect();"
                      "return [r.left, r.top, r.width, r.height]")
    digit = shown.find("digit").rect
    assert digit["y"] >= 0 and frame[1] + frame[3] <= 844  # both are on the screen, at the start
    finger = PointerInput("touch", "finger")
    action = ActionBuilder(shown.browser, mouse=finger, duration=50)
    pointer = action.pointer_action
    start, end = [(round(frame[0] + s * frame[2]), round(frame[1] + t * frame[3]))
                  for s, t in ((0.3, 0.8), (0.7, 0.25))]
    pointer.move_to_location(*start).pointer_down().move_to_location(*end)
    action.perform()
    box = np.array(shown.state["box"])
    share = np.array([(end[0] - frame[0]) / frame[2], 1 - (end[1] - frame[1]) / frame[3]])
    z = box[:, 0] + share * (box[:, 1] - box[:, 0])
    np.testing.assert_allclose(shown.state["z"], z, atol=0.02 * (box[:, 1] - box[:, 0]).max())
    z = np.array([shown.state["z"]], "float32")
    assert_drawn(shown.drawn("digit"), shown.page.models["VAE"].decode(z)[0])
    assert shown.run("return scrollY") == 0  # the finger moved the place, not the page
    pointer.pointer_up()
    action.perform()
