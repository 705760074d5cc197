import { defineConfig, type Plugin } from "vite";

// "npm run dev" shows the console of the sources with the API of a server that runs at the usual address.
const server = { "/api": "http://127.0.0.1:8580", "/c": "http://127.0.0.1:8580" };

/** Tables can offer filters as a tree, which none here does: without it each page with a table is smaller. */
const noTreesInTables: Plugin = {
  name: "no-trees-in-tables", enforce: "pre",
  resolveId: (source, importer) => (source.endsWith("/tree") && importer?.includes("/antd/es/table/hooks/useFilter/") === true ? "\0no-tree" : undefined),
  load: (id) => (id === "\0no-tree" ? "export default function Tree() { return null; }" : undefined),
};

export default defineConfig({
  plugins: [noTreesInTables],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // what is inline the Content-Security-Policy refuses
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      // Many small files compress badly: what pages share is one file of widgets and one of ours.
      output: {
        codeSplitting: {
          groups: [
            { name: "widgets", test: /node_modules/, minShareCount: 5 },
            { name: "shared", test: /src\/(parts|api)\//, minShareCount: 3 },
          ],
        },
      },
      // "use client" at the head of files is for servers that render React: there is none.
      onLog: (level, log, tell) => { if (log.code !== "MODULE_LEVEL_DIRECTIVE") tell(level, log); },
    },
  },
  server: { proxy: server },
});
