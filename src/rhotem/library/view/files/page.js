"use strict";
// What Bokeh's page lacks: files that are saved, names of sliders for screen readers, and a picture that says what it is.
function rhotemSave(file) {
  const {name, kind, content} = file.data;
  if (name.length === 0) return;
  const bytes = Uint8Array.from(atob(content[0]), (letter) => letter.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], {type: kind[0]}));
  link.download = name[0];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A picture of the person's: in parts that a message can hold, one after another; the server says what is wrong with it.
function rhotemSend() {
  const sent = Bokeh.documents[0].get_model_by_name("sent"), [most, part, endings] = sent.tags;
  const chooser = document.createElement("input");
  chooser.type = "file";
  chooser.accept = endings;
  chooser.addEventListener("change", async () => {
    const file = chooser.files[0];
    if (!file) return;
    // one empty part of what will be refused: further ones would hide why
    const known = endings.split(",").some((ending) => file.name.toLowerCase().endsWith(ending));
    const bytes = new Uint8Array(file.size > most || !known ? 0 : await file.arrayBuffer());
    // Bokeh tells nobody of a part that equals the last one: the same picture again, with another pixel
    sent.data = {name: [], size: [], place: [], content: []};
    for (let place = 0, start = 0; place === 0 || start < bytes.length; place += 1, start += part) {
      const letters = [];
      for (const byte of bytes.subarray(start, start + part)) letters.push(String.fromCharCode(byte));
      sent.data = {name: [file.name], size: [file.size], place: [place], content: [btoa(letters.join(""))]};
    }
  });
  chooser.click();
}

function rhotemEach(root, visit) {
  for (const element of root.querySelectorAll("*")) {
    visit(element);
    if (element.shadowRoot) rhotemEach(element.shadowRoot, visit);
  }
}

function rhotemName() {
  rhotemEach(document, (element) => {
    if (element.tagName === "BUTTON" && element.textContent === "Entries that look like a picture…" && !element.rhotem) {
      element.rhotem = true;
      element.addEventListener("click", rhotemSend);
    }
    if (!element.classList.contains("noUi-handle")) return;
    const title = element.getRootNode().querySelector(".bk-slider-title");
    if (!title) return;
    const [name, value] = title.textContent.split(": ");
    element.setAttribute("aria-label", name);
    if (value !== undefined) element.setAttribute("aria-valuetext", value);
  });
  for (const [words, figure] of [["said", "picture"], ["densities_said", "densities"]]) {
    const said = [];
    rhotemEach(document.getElementById(words), (element) => { if (element.tagName === "P") said.push(element.textContent); });
    const text = said.join(" "), shown = document.getElementById(figure);
    if (text && shown.getAttribute("aria-label") !== text) shown.setAttribute("aria-label", text);
  }
}
setInterval(rhotemName, 500);

function rhotemWindow() {
  const page = typeof Bokeh === "undefined" ? undefined : Bokeh.documents[0];
  const model = page && page.get_model_by_name("window");
  if (!model) return;
  const {innerWidth, innerHeight} = window;
  if (model.data.width[0] !== innerWidth || model.data.height[0] !== innerHeight)
    model.data = {width: [innerWidth], height: [innerHeight]};
}
setInterval(rhotemWindow, 500);
