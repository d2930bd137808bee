// Before the first paint: the theme that was chosen here last, else the system's.
"use strict";
try {
  const chosen = localStorage.getItem("catalog-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing shows the system's theme.
}
