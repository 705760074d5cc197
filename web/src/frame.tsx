// What stands around each page: navigation, who is logged in, what everybody should know.
import { AppstoreOutlined, ClusterOutlined, DashboardOutlined, DatabaseOutlined, DownOutlined, FileTextOutlined, MenuOutlined, RobotOutlined, SettingOutlined, SwapOutlined, TagsOutlined, TeamOutlined, UserOutlined } from "@ant-design/icons";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Drawer, Dropdown, Grid, Layout, Menu, Modal, Typography } from "antd";
import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";
import { Link, Navigate, Outlet, useLocation, useNavigate, useOutletContext } from "react-router";
import { ApiError, logout, whenSessionEnds, type User } from "./api/client";
import { useLiveSystem, useLiveUpdates } from "./api/events";
import { queries } from "./api/queries";
import { Banner } from "./parts/banner";
import { LanguageChooser, ThemeChooser } from "./parts/choosers";
import { Failure } from "./parts/failure";
import { Loading } from "./parts/loading";
import { NotAllowed } from "./parts/results";
import { Search } from "./parts/search";
import { SignInForm } from "./parts/signInForm";
import { useMayLeave } from "./parts/unsaved";
import { ownVersion } from "./parts/version";
import { useWords } from "./words";

const PasswordDialog = lazy(() => import("./pages/users/password"));
const ProfileDialog = lazy(() => import("./pages/users/profile"));
const AboutDialog = lazy(() => import("./parts/about"));

export function Frame() {
  const user = useQuery(queries.user());
  const location = useLocation();
  if (user.data !== undefined) return <Inside user={user.data} />;
  if (user.error instanceof ApiError && user.error.status === 401) {
    const here = location.pathname + location.search;
    const wanted = here === "/" || here === "/harbor" || here === "/harbor/overview" ? "" : `?redirect_url=${encodeURIComponent(here)}`;
    return <Navigate to={`/account/sign-in${wanted}`} replace />;
  }
  if (user.error !== null) return <div style={{ padding: 24 }}><Failure error={user.error} retry={() => void user.refetch()} /></div>;
  return <Loading />;
}

function Inside({ user }: { user: User }) {
  const words = useWords();
  const wide = Grid.useBreakpoint().lg ?? true;
  const [open, setOpen] = useState(false);
  const [ended, setEnded] = useState(false);
  const [login, setLogin] = useState(0); // how often somebody logged in again
  const client = useQueryClient();
  const location = useLocation();
  const main = useEffectOnNavigation();
  useEffect(() => {
    whenSessionEnds(() => setEnded(true));
    return () => whenSessionEnds(() => undefined);
  }, []);
  useEffect(() => setOpen(false), [location.pathname]);
  const again = () => {
    setEnded(false);
    setLogin((n) => n + 1);
    void client.invalidateQueries();
  };
  const searchable = useQuery(queries.system()).data?.registry_storage_provider_name !== "";
  const navigation = <Navigation admin={user.sysadmin_flag === true} />;
  return (
    <Layout className="frame">
      <a className="skip" href="#content">{words.nav.skip}</a>
      <Layout.Header className="frame-header">
        {!wide && <Button type="text" icon={<MenuOutlined />} aria-label={words.nav.menu} aria-expanded={open} onClick={() => setOpen(true)} />}
        <Link className="frame-brand" to="/"><img src="/favicon.svg" alt="" /><span>{words.product}</span></Link>
        {wide && searchable && <Search />}
        <span className="frame-space" />
        <LanguageChooser />
        <ThemeChooser />
        <UserMenu user={user} />
      </Layout.Header>
      <Layout>
        {wide
          ? <Layout.Sider className="frame-side" width={232} theme="light"><div className="frame-side-inner">{navigation}</div></Layout.Sider>
          : <Drawer open={open} onClose={() => setOpen(false)} placement="left" size={264} title={words.product} styles={{ body: { padding: 0 } }}>{searchable && <div className="frame-search-narrow"><Search /></div>}{navigation}</Drawer>}
        <Layout style={{ minWidth: 0 }}>
          <Banners key={login} admin={user.sysadmin_flag === true} />
          <main id="content" className="frame-content" ref={main} tabIndex={-1}>
            <Suspense fallback={<Loading />}><Outlet context={user} /></Suspense>
          </main>
        </Layout>
      </Layout>
      <Modal open={ended} title={words.signIn.ended} footer={null} closable={false} keyboard={false} mask={{ closable: false }} destroyOnHidden width={400}>
        <Typography.Paragraph>{words.signIn.endedText}</Typography.Paragraph>
        <SignInForm onDone={again} />
      </Modal>
    </Layout>
  );
}

/** Where each begins: administrators with what needs attention, everybody else with what is theirs. */
export function StartPage() {
  const user = useOutletContext<User>();
  return <Navigate to={user.sysadmin_flag === true ? "/harbor/overview" : "/harbor/projects"} replace />;
}

/** Shows the pages within to administrators only. */
export function AdminPages() {
  const user = useOutletContext<User>();
  return user.sysadmin_flag === true ? <Outlet context={user} /> : <NotAllowed />;
}

/** Gives the focus to a page that was gone to, for those who do not see it. */
function useEffectOnNavigation() {
  const { pathname } = useLocation();
  const [element, setElement] = useState<HTMLElement | null>(null);
  const [shown, setShown] = useState(pathname);
  useEffect(() => {
    if (pathname === shown) return;
    setShown(pathname);
    element?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [pathname, shown, element]);
  return setElement;
}

interface Place { path: string; icon: ReactNode; text: string }

function Navigation({ admin }: { admin: boolean }) {
  const words = useWords();
  const { pathname } = useLocation();
  const { data: system } = useQuery(queries.system());
  const places: Place[] = [];
  const administration: Place[] = [];
  if (admin) places.push({ path: "/harbor/overview", icon: <DashboardOutlined />, text: words.nav.overview });
  // A Harbor that is home has projects of its own, and no storage here.
  if (system?.registry_storage_provider_name !== "") places.push({ path: "/harbor/projects", icon: <AppstoreOutlined />, text: words.nav.projects });
  places.push({ path: "/harbor/logs", icon: <FileTextOutlined />, text: words.nav.logs });
  if (admin) {
    administration.push(
      { path: "/harbor/users", icon: <TeamOutlined />, text: words.nav.users },
      { path: "/harbor/robot-accounts", icon: <RobotOutlined />, text: words.nav.robots },
      { path: "/harbor/registries", icon: <ClusterOutlined />, text: words.nav.registries },
      { path: "/harbor/replications", icon: <SwapOutlined />, text: words.nav.replications },
      { path: "/harbor/labels", icon: <TagsOutlined />, text: words.nav.labels },
      { path: "/harbor/storage", icon: <DatabaseOutlined />, text: words.nav.storage },
      { path: "/harbor/configs/setting", icon: <SettingOutlined />, text: words.nav.settings },
    );
  }
  const item = ({ path, icon, text }: Place) => ({ key: path, icon, label: <Link to={path}>{text}</Link> });
  const items = [
    ...places.map(item),
    ...(administration.length > 0 ? [{ type: "group" as const, key: "administration", label: words.nav.administration, children: administration.map(item) }] : []),
  ];
  const selected = [...places, ...administration].map((place) => place.path).filter((path) => pathname === path || pathname.startsWith(`${path}/`));
  return (
    <>
      <nav aria-label={words.nav.main}><Menu mode="inline" items={items} selectedKeys={selected} style={{ borderInlineEnd: 0, background: "transparent" }} /></nav>
      {system?.harbor_version != null && (
        <Typography.Text type="secondary" className="frame-version">{words.nav.version(ownVersion(system.harbor_version))}</Typography.Text>
      )}
    </>
  );
}

function UserMenu({ user }: { user: User }) {
  const words = useWords();
  const { data: system } = useQuery(queries.system());
  const own = system?.registry_storage_provider_name !== ""; // accounts of a Harbor that is home are its own
  const client = useQueryClient();
  const navigate = useNavigate();
  const mayLeave = useMayLeave();
  const leave = async () => {
    if (!await mayLeave()) return;
    await logout();
    await navigate("/account/sign-in", { replace: true });
    client.clear();
  };
  const [open, setOpen] = useState<"profile" | "password" | "about">();
  const close = () => setOpen(undefined);
  const items = [
    ...(own ? [
      { key: "profile", label: words.users.profile, onClick: () => setOpen("profile") },
      { key: "password", label: words.users.changePassword, onClick: () => setOpen("password") },
    ] : []),
    { key: "about", label: words.nav.about, onClick: () => setOpen("about") },
    { type: "divider" as const },
    { key: "out", label: words.nav.logOut, onClick: () => void leave() },
  ];
  return (
    <>
      <Dropdown trigger={["click"]} menu={{ items }}>
        <Button type="text" icon={<UserOutlined />} aria-label={`${words.nav.account}: ${user.username ?? ""}`} data-testid="account">{user.username} <DownOutlined style={{ fontSize: 10 }} /></Button>
      </Dropdown>
      {open === "profile" && <Suspense><ProfileDialog user={user} close={close} /></Suspense>}
      {open === "password" && <Suspense><PasswordDialog user={user} own close={close} /></Suspense>}
      {open === "about" && <Suspense><AboutDialog close={close} /></Suspense>}
    </>
  );
}

function Banners({ admin }: { admin: boolean }) {
  const words = useWords();
  const { data: system, dataUpdatedAt } = useQuery(queries.system());
  const ahead = system?.current_time == null ? 0 : new Date(system.current_time).getTime() - dataUpdatedAt;
  return (
    <>
      {system?.banner_message != null && <Banner key={system.banner_message} text={system.banner_message} ahead={ahead} />}
      {system?.read_only === true && <Alert banner className="frame-banner" type="warning" title={words.nav.readOnly} data-testid="read-only" />}
      {admin ? <LiveBanner /> : <LiveSystem />}
    </>
  );
}

function LiveBanner() {
  const words = useWords();
  return useLiveUpdates() ? null : <Alert banner className="frame-banner" type="warning" title={words.nav.notLive} />;
}

function LiveSystem() {
  useLiveSystem();
  return null;
}
