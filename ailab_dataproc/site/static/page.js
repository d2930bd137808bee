// Every page: the theme's button, and the buttons that copy.
"use strict";
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => button.setAttribute("aria-pressed", String(dark()));
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try {
      localStorage.setItem("catalog-theme", root.dataset.theme);
    } catch {
      // It is remembered until the page is left.
    }
    show();
  });
  system.addEventListener("change", show);
  show();
  button.hidden = false;

  const said = document.getElementById("said");
  // Where a page came over plain HTTP from another machine there is no clipboard: what is selected is copied.
  const copySelected = (code) => {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return document.execCommand("copy");
  };
  const copy = async (code) => {
    if (!navigator.clipboard) return copySelected(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      return true;
    } catch {
      return copySelected(code);
    }
  };
  for (const one of document.querySelectorAll("button.copy")) {
    one.hidden = false;
    one.addEventListener("click", async () => {
      const done = await copy(one.parentElement.querySelector("code"));
      one.textContent = done ? "Copied" : "Press Ctrl+C";
      said.textContent = one.textContent;
      setTimeout(() => {
        one.textContent = "Copy";
        said.textContent = "";
      }, 2000);
    });
  }
}
