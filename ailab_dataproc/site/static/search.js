// The first page: search as you type. Every word must be found; a name counts more than a column, a column more than
// its meaning, a meaning more than the description, and that more than the owner.
"use strict";
{
  const list = document.getElementById("datasets");
  const query = document.getElementById("query");
  const count = document.getElementById("count");
  const filters = ["kind", "owner", "pii", "state"].map((id) => document.getElementById(id));

  // Full-width and half-width forms, capitals and Latin accents make no difference; Japanese sound marks do.
  const fold = (text) =>
    text.normalize("NFKC").toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").normalize("NFC");

  const items = [...list.children].slice(0, window.catalog.length);
  const entries = window.catalog.map(([name, owner, about, columns], i) => ({
    item: items[i],
    name: fold(name),
    owner: fold(owner),
    about: fold(about),
    columns: columns.map(([column, meaning]) => ({
      name: fold(column),
      meaning: fold(meaning),
      told: meaning ? `${column}: ${meaning}` : column,
    })),
  }));

  // How well a text holds a word, below 10: as a whole, at its start, at the start of a part, anywhere.
  const fit = (text, word) => {
    const at = text.indexOf(word);
    if (at < 0) return 0;
    if (text === word) return 9;
    if (at === 0) return 7;
    return /[\s/_.,;:([-]/.test(text[at - 1]) ? 5 : 3;
  };
  const part = (name, word) => Math.max(fit(name, word), fit(name.slice(name.lastIndexOf("/") + 1), word));

  // The score of one word, and the column that it was found in.
  const find = (entry, word) => {
    const name = part(entry.name, word);
    if (name) return [400 + name, null];
    let best = 0;
    let where = null;
    for (const column of entry.columns) {
      const inName = fit(column.name, word);
      const inMeaning = inName ? 0 : fit(column.meaning, word);
      const score = inName ? 300 + inName : inMeaning ? 200 + inMeaning : 0;
      if (score > best) [best, where] = [score, column];
    }
    if (best) return [best, where];
    if (entry.about.includes(word)) return [100 + fit(entry.about, word), null];
    const owner = fit(entry.owner, word);
    return owner ? [50 + owner, null] : null;
  };

  const score = (entry, words) => {
    let sum = 0;
    const hits = new Set();
    for (const word of words) {
      const found = find(entry, word);
      if (!found) return null;
      sum += found[0];
      if (found[1]) hits.add(found[1].told);
    }
    return { entry, sum, hits };
  };

  const wanted = (item) => filters.every((one) => !one.value || item.dataset[one.id] === one.value);

  const show = () => {
    const words = fold(query.value).split(/\s+/).filter(Boolean);
    const found = entries.map((entry) => wanted(entry.item) && score(entry, words)).filter(Boolean);
    if (words.length) found.sort((one, other) => other.sum - one.sum);
    for (const { item } of entries) item.hidden = true;
    for (const { entry, hits } of found) {
      const hit = entry.item.querySelector(".hit");
      hit.textContent = [...hits].join(" · ");
      hit.hidden = !hits.size;
      entry.item.hidden = false;
    }
    list.append(...found.map(({ entry }) => entry.item)); // a hidden one stands before those that are shown
    const all = found.length === entries.length;
    count.textContent = all
      ? `${entries.length} dataset${entries.length === 1 ? "" : "s"}`
      : `${found.length} of ${entries.length} datasets`;
    const kept = new URLSearchParams();
    if (query.value) kept.set("q", query.value);
    for (const one of filters) if (one.value) kept.set(one.id, one.value);
    history.replaceState(null, "", kept.size ? `#?${kept}` : location.pathname + location.search);
  };

  const links = () => [...list.querySelectorAll("li:not([hidden]) .what a")];
  const restore = () => {
    if (!location.hash.startsWith("#?")) return;
    const kept = new URLSearchParams(location.hash.slice(2));
    query.value = kept.get("q") ?? "";
    for (const one of filters) one.value = kept.get(one.id) ?? "";
  };

  query.addEventListener("input", show);
  for (const one of filters) one.addEventListener("change", show);
  query.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // an input method takes these keys for itself
    if (event.key === "Enter" && query.value.trim()) links()[0]?.click();
    if (event.key === "ArrowDown") {
      event.preventDefault();
      links()[0]?.focus();
    }
    if (event.key === "Escape" && query.value) {
      query.value = "";
      show();
    }
  });
  list.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    (all[at + (event.key === "ArrowDown" ? 1 : -1)] ?? (at ? all[at] : query)).focus();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    query.focus();
    query.select();
  });

  document.getElementById("search").hidden = false;
  restore();
  if (location.hash) show();
}
