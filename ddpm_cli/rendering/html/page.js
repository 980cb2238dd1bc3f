"use strict";
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function slides(box) {
  const frames = [...box.querySelectorAll("img[data-stands]")], controls = box.querySelector(".controls");
  if (!controls) return;
  const range = controls.querySelector("input"), button = controls.querySelector("button"), where = controls.querySelector("span");
  let timer = null;
  const show = place => {
    frames.forEach((frame, each) => { frame.hidden = each !== place; });
    range.value = place;
    where.textContent = frames[place].dataset.stands;
    range.setAttribute("aria-valuetext", where.textContent);
  };
  const rest = () => {
    clearInterval(timer);
    timer = null;
    if (button) button.textContent = "Play";
  };
  const next = () => {
    const place = Number(range.value) + 1;
    if (place < frames.length) show(place); else rest();
  };
  const play = () => {
    if (Number(range.value) === frames.length - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(next, 120);
  };
  range.addEventListener("input", () => { rest(); show(Number(range.value)); });
  controls.hidden = false;
  if (!button) return;
  const obey = () => {
    if (calm.matches) rest();
    button.hidden = calm.matches;
  };
  button.addEventListener("click", () => { if (timer === null) play(); else rest(); });
  calm.addEventListener("change", obey);
  obey();
  if (!calm.matches && "plays" in box.dataset) playsOnce(box, () => show(0), play);
}

function playsOnce(box, begin, play) {
  begin();
  const watch = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    watch.disconnect();
    if (!calm.matches) play();
  }, { threshold: 0.5 });
  watch.observe(box);
  box.addEventListener("input", () => watch.disconnect());
  box.addEventListener("click", () => watch.disconnect());
}

function copies(block) {
  const button = document.createElement("button"), code = block.querySelector("code");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
  block.prepend(button);
}

function compared(one, other) {
  const [a, b] = [one, other].map(cell => "value" in cell.dataset ? Number(cell.dataset.value) : NaN);
  if (!isNaN(a) && !isNaN(b)) return a - b;
  return one.textContent.localeCompare(other.textContent, "en", { numeric: true });
}

function sorts(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const [full, empty] = [[], []];
      for (const row of body.rows) (row.cells[column].textContent ? full : empty).push(row);
      full.sort((one, other) => (down ? -1 : 1) * compared(one.cells[column], other.cells[column]));
      body.append(...full, ...empty);
    });
  });
}

document.querySelectorAll(".slider").forEach(slides);
document.querySelectorAll("pre").forEach(copies);
document.querySelectorAll("table[data-sortable]").forEach(sorts);
