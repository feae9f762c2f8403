// Stores the settings of the start page in the browser, where MLflow's front end reads them, and opens MLflow.
"use strict";
const page = JSON.parse(document.getElementById("page").textContent);
let address = page.address;
try {
  for (const [key, value] of Object.entries(page.settings)) localStorage.setItem(key, value);
  const view = page.view;
  if (view !== null) {
    const saved = JSON.parse(localStorage.getItem(view.key) || "{}");
    const isShown = saved.searchFilter === view.state.searchFilter;
    if (!isShown || localStorage.getItem(view.appliedKey) !== view.digest) { // otherwise keep the user's changes
      const colors = JSON.parse(localStorage.getItem(view.colorsKey) || "{}");
      localStorage.setItem(view.colorsKey, JSON.stringify({ ...colors, ...view.colors }));
      localStorage.setItem(view.key, JSON.stringify(view.state));
      localStorage.setItem(view.appliedKey, view.digest);
    }
  }
} catch {
  address = page.fallback; // the browser does not store settings
}
location.replace(address);
