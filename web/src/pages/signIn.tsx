import { useQueryClient } from "@tanstack/react-query";
import { theme, Typography } from "antd";
import { useEffect } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { LanguageChooser, ThemeChooser } from "../parts/choosers";
import { SignInForm } from "../parts/signInForm";
import { useWords } from "../words";

export default function SignInPage() {
  const words = useWords();
  const { token } = theme.useToken();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [parameters] = useSearchParams();
  useEffect(() => { document.title = words.signIn.title; }, [words]);
  const done = () => {
    client.clear();
    void navigate(ownAddress(parameters.get("redirect_url")), { replace: true });
  };
  return (
    <main className="sign-in" style={{ background: token.colorBgLayout }}>
      <div className="sign-in-card" style={{ background: token.colorBgContainer, boxShadow: token.boxShadowTertiary }}>
        <img src="/favicon.svg" alt="" width={44} height={44} />
        <Typography.Title level={1}>{words.signIn.title}</Typography.Title>
        <SignInForm onDone={done} />
        <Typography.Text type="secondary" className="explain" style={{ marginTop: 16 }}>{words.signIn.hint}</Typography.Text>
        <div className="sign-in-tools">
          <LanguageChooser />
          <ThemeChooser />
        </div>
      </div>
    </main>
  );
}

/** Where to go after the login: only within this console, whatever the link said. */
function ownAddress(wanted: string | null): string {
  if (wanted === null) return "/";
  const url = new URL(wanted, location.origin);
  return url.origin === location.origin && url.pathname.startsWith("/harbor/") ? url.pathname + url.search : "/";
}
