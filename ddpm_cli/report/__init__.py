"""A page that opens from disk: text of facts. Nothing here reads or writes a file of a run, or imports torch."""

from ddpm_cli.report.chart import chart
from ddpm_cli.report.markup import Markup, element, joined
from ddpm_cli.report.page import Section, page
from ddpm_cli.report.pictures import fitted, picture, spread
from ddpm_cli.report.slider import Frame, slider
from ddpm_cli.report.table import Cell, pairs, table
