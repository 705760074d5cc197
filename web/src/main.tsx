import "./nonce";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { storedLanguage, SettingsProvider } from "./settings";
import { loadTongue } from "./words";

// A file of another version is asked for when the server was updated meanwhile.
addEventListener("vite:preloadError", (event) => {
  const key = "reloaded";
  if (sessionStorage.getItem(key) !== null) return; // once: the fault may be another one
  sessionStorage.setItem(key, "true");
  event.preventDefault();
  location.reload();
});

const root = document.getElementById("root");
if (root !== null) {
  const tongue = await loadTongue(storedLanguage());
  createRoot(root).render(
    <SettingsProvider>
      <App first={tongue} />
    </SettingsProvider>,
  );
}
