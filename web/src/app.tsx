// What stands around all pages: language, theme, what was read from the server, and who
// is logged in.
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { App as Widgets, ConfigProvider } from "antd";
import { lazy, Suspense, useEffect, useState } from "react";
import { createBrowserRouter, Route, RouterProvider, Routes } from "react-router";
import { ApiError, UnreachableError } from "./api/client";
import { AdminPages, Frame, StartPage } from "./frame";
import { nonce } from "./nonce";
import { Crash } from "./parts/crash";
import { Loading } from "./parts/loading";
import { NotFound } from "./parts/results";
import { UnsavedGuard } from "./parts/unsaved";
import { useSettings } from "./settings";
import "./style.css";
import { themeOf } from "./theme";
import { loadTongue, TongueContext, type Tongue } from "./words";

const SignInPage = lazy(() => import("./pages/signIn"));
const OverviewPage = lazy(() => import("./pages/overview"));
const ProjectsPage = lazy(() => import("./pages/projects"));
const ProjectPage = lazy(() => import("./pages/projects/project"));
const ArtifactsPage = lazy(() => import("./pages/artifacts"));
const ArtifactPage = lazy(() => import("./pages/artifact"));
const RegistriesPage = lazy(() => import("./pages/registries"));
const ReplicationsPage = lazy(() => import("./pages/replications"));
const LogsPage = lazy(() => import("./pages/logs"));
const UsersPage = lazy(() => import("./pages/users"));
const RobotsPage = lazy(() => import("./pages/robots"));
const LabelsPage = lazy(() => import("./pages/labels"));
const SettingsPage = lazy(() => import("./pages/settings"));
const StoragePage = lazy(() => import("./pages/storage"));
const ExecutionPage = lazy(() => import("./pages/execution"));

const client = new QueryClient({
  queryCache: new QueryCache(),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false, // the server says what changes
      // What the server has refused it refuses again.
      retry: (failures, error) => error instanceof UnreachableError ? failures < 2 : !(error instanceof ApiError) || (error.status >= 500 && failures < 2),
    },
  },
});

export function App({ first }: { first: Tongue }) {
  const { language, dark } = useSettings();
  const [tongue, setTongue] = useState(first);
  useEffect(() => {
    let wanted = true;
    void loadTongue(language).then((loaded) => { if (wanted) setTongue(loaded); });
    return () => { wanted = false; };
  }, [language]);
  useEffect(() => {
    document.documentElement.lang = tongue.tag;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }, [tongue, dark]);
  return (
    <TongueContext value={tongue}>
      <ConfigProvider locale={tongue.widgets} theme={themeOf(dark)} csp={{ nonce }} button={{ autoInsertSpace: false }}>
        {/* Messages and questions have links and read what was asked for: they stand within all of it. */}
        <QueryClientProvider client={client}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </ConfigProvider>
    </TongueContext>
  );
}

/** All pages, within what a page may ask and tell. */
function Pages() {
  return (
    <Widgets className="app" message={{ maxCount: 3 }}>
      <Crash>
        <UnsavedGuard>
          <Suspense fallback={<Loading />}>
            <Routes>
              <Route path="/account/sign-in" element={<SignInPage />} />
              <Route element={<Frame />}>
                <Route path="/" element={<StartPage />} />
                <Route path="/harbor" element={<StartPage />} />
                <Route path="/harbor/projects" element={<ProjectsPage />} />
                <Route path="/harbor/projects/:id" element={<ProjectPage />} />
                <Route path="/harbor/projects/:id/:tab" element={<ProjectPage />} />
                <Route path="/harbor/projects/:id/repositories/:name/artifacts-tab" element={<ArtifactsPage />} />
                <Route path="/harbor/projects/:id/repositories/:name/artifacts-tab/artifacts/:digest" element={<ArtifactPage />} />
                <Route path="/harbor/logs" element={<LogsPage />} />
                <Route element={<AdminPages />}>
                  <Route path="/harbor/overview" element={<OverviewPage />} />
                  <Route path="/harbor/registries" element={<RegistriesPage />} />
                  <Route path="/harbor/replications" element={<ReplicationsPage />} />
                  <Route path="/harbor/users" element={<UsersPage />} />
                  <Route path="/harbor/robot-accounts" element={<RobotsPage />} />
                  <Route path="/harbor/labels" element={<LabelsPage />} />
                  <Route path="/harbor/configs/setting" element={<SettingsPage />} />
                  <Route path="/harbor/storage" element={<StoragePage />} />
                  <Route path="/harbor/replications/:id/tasks" element={<ExecutionPage />} />
                </Route>
                <Route path="*" element={<NotFound />} />
              </Route>
            </Routes>
          </Suspense>
        </UnsavedGuard>
      </Crash>
    </Widgets>
  );
}

// A router that knows of a navigation before it happens: it can be asked about.
const router = createBrowserRouter([{ path: "*", element: <Pages /> }]);
