"""Sphinx's settings; build.py collects the pages and calls Sphinx."""

import inspect
import os

project = "keras_vae"
author = "the authors of keras_vae"
copyright = "Apache-2.0"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",  # formulas without a network
]
exclude_patterns = ["notebooks", "scripts", "**/outputs", "**/.ipynb_checkpoints"]
language = "en"

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = os.environ.get("KERAS_VAE_DOCS_RUN", "off")
nb_execution_cache_path = os.environ.get("KERAS_VAE_DOCS_CACHE", "")
nb_output_stderr = "remove"  # notices of TensorFlow
nb_merge_streams = True
nb_ipywidgets_js = {}  # no widgets: nothing to load from afar

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

html_theme = "sphinx_book_theme"
html_title = "keras_vae"
html_static_path = ["static"]
html_extra_path = ["_build/source/extra"]
html_css_files = ["site.css"]
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search stands in the sidebar
    "show_navbar_depth": 1,
    "use_download_button": False,  # each chapter names its notebook and its script itself
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_copy_source = False
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app):
    def mark_language(app, name, template, context, doctree):
        if name.startswith("zh/"):
            context["language"] = "zh-CN"

    def show_arguments(app, what, name, thing, options, signature, returned):
        if what == "class":  # Keras's own __new__ would be shown: (*args, **kwargs)
            parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
            return str(inspect.Signature(parameters)), None

    app.connect("html-page-context", mark_language)
    app.connect("autodoc-process-signature", show_arguments)
