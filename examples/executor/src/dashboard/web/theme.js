// Light, dark, or as the system has it; and colours for what is drawn.

const THEMES = ["auto", "light", "dark"];
const NAMES = { auto: "Auto", light: "Light", dark: "Dark" };
const colours = new Map();
const probe = document.createElement("span");
probe.hidden = true;

/** Makes the button choose the theme. `changed` is called when colours are others. */
export function themes(button, changed) {
  document.body.append(probe);
  let theme = kept() ?? "auto";
  const apply = () => {
    if (!THEMES.includes(theme)) theme = "auto";
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `◐ ${NAMES[theme]}`;
    button.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
    colours.clear();
    changed();
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    keep(theme);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}

/** A colour of the style sheet, for a canvas. */
export function colour(name) {
  let value = colours.get(name);
  if (value === undefined) {
    probe.style.color = `var(--${name})`;
    value = getComputedStyle(probe).color;
    colours.set(name, value);
  }
  return value;
}

// Browsers may be told to keep nothing.
function kept() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function keep(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // It holds for as long as the page is open.
  }
}

const kinds = new Map();

/** The colour of a kind of task: the same for as long as the page is open. */
export function colourOf(kind) {
  if (!kinds.has(kind)) kinds.set(kind, kinds.size % 8);
  return colour(`kind-${kinds.get(kind)}`);
}
