"""Pages that open from disk, and the elements of pages."""

from ddpm_cli.rendering.html.chart import chart
from ddpm_cli.rendering.html.page import save_page
from ddpm_cli.rendering.html.pictures import fit_picture, fit_pictures
