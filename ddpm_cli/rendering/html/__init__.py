"""Elements of a page that opens from disk. Nothing here reads or writes a file of a run, or imports torch."""

from ddpm_cli.rendering.html.chart import chart
from ddpm_cli.rendering.html.markup import Markup, element, joined
from ddpm_cli.rendering.html.page import Section, page
from ddpm_cli.rendering.html.pictures import fitted, picture, spread
from ddpm_cli.rendering.html.slider import Frame, slider
from ddpm_cli.rendering.html.table import Cell, pairs, table
