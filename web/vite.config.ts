import { defineConfig } from "vite";

// "npm run dev" shows the console of the sources with the API of a server that runs at the usual address.
const server = { "/api": "http://127.0.0.1:8580", "/c": "http://127.0.0.1:8580" };

export default defineConfig({
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // what is inline the Content-Security-Policy refuses
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      // "use client" at the head of files is for servers that render React: there is none.
      onLog: (level, log, tell) => { if (log.code !== "MODULE_LEVEL_DIRECTIVE") tell(level, log); },
    },
  },
  server: { proxy: server },
});
