package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

func (a *app) notificationCommand() *cobra.Command {
	var s serverFlags
	cmd := a.family(&cobra.Command{
		Use:   "notification",
		Short: "Manage who is told how replication goes",
		Long: `Manage who is told how replication goes: addresses that get an HTTP request when
an execution has ended, has failed, or when a rule fails somewhere or works again.`,
		Example: `  lighterage notification create ops --url https://hooks.example.com/x --events changed
  lighterage notification test ops
  lighterage notification deliveries ops`,
		Aliases: []string{"notifications"},
	})
	s.add(cmd)
	cmd.AddCommand(a.notificationList(&s), a.notificationView(&s), a.notificationCreate(&s), a.notificationUpdate(&s),
		a.notificationDelete(&s), a.notificationTest(&s), a.notificationDeliveries(&s))
	return cmd
}

func (a *app) notificationList(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List who is told",
		Example: "  lighterage notification list",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			all, err := c.notifications(cmd.Context(), "")
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, all)
			}
			if len(all) == 0 {
				fmt.Fprintln(a.Stderr, "Nobody is told yet. Add somebody with: lighterage notification create NAME --url URL")
				return nil
			}
			table := term.Table{Header: []string{"ID", "NAME", "ENABLED", "EVENTS", "WAITING", "LAST DELIVERY"}}
			for _, n := range all {
				enabled := term.Cell{Text: "yes", Style: term.Good}
				if !n.Enabled {
					enabled = term.Cell{Text: "no", Style: term.Note}
				}
				table.Row(term.Text(strconv.FormatInt(n.ID, 10)), term.Text(n.Name), enabled, term.Text(strings.Join(n.Events, ", ")),
					term.Text(strconv.FormatInt(n.Waiting, 10)), lastAttempt(n.LastAttempt))
			}
			return table.Write(a.screen)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func lastAttempt(last *gen.NotificationAttempt) term.Cell {
	switch {
	case last == nil:
		return term.Text("")
	case last.Error == "":
		return term.Cell{Text: clock(last.Time), Style: term.Good}
	}
	return term.Cell{Text: clock(last.Time) + ": " + last.Error, Style: term.Bad}
}

func (a *app) notificationView(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "view NOTIFICATION",
		Aliases:           []string{"get", "show"},
		Short:             "Show one of them",
		Example:           "  lighterage notification view ops",
		Args:              takes("NOTIFICATION"),
		ValidArgsFunction: a.completeNotification(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			n, err := c.notification(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, n)
			}
			rules := "all"
			if len(n.PolicyIds) > 0 {
				if rules, err = c.rulesOf(cmd.Context(), n.PolicyIds); err != nil {
					return err
				}
			}
			return a.screen.Fields([][2]string{
				{"id", strconv.FormatInt(n.ID, 10)},
				{"name", n.Name},
				{"description", n.Description},
				{"enabled", yesNo(n.Enabled)},
				{"url", n.URL},
				{"secret", yesNo(n.AuthHeader != nil)},
				{"format", n.PayloadFormat},
				{"events", strings.Join(n.Events, ", ")},
				{"rules", rules},
				{"waiting", strconv.FormatInt(n.Waiting, 10)},
				{"last delivery", lastAttempt(n.LastAttempt).Text},
				{"created", clock(n.CreationTime)},
				{"updated", clock(n.UpdateTime)},
			}...)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (c *api) rulesOf(ctx context.Context, ids []int64) (string, error) {
	names, err := c.policyNames(ctx)
	if err != nil {
		return "", err
	}
	var list []string
	for _, id := range ids {
		name, known := names[id]
		if !known {
			name = fmt.Sprintf("id:%d (gone)", id)
		}
		list = append(list, name)
	}
	return strings.Join(list, ", "), nil
}

func (a *app) notificationDelete(s *serverFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NOTIFICATION",
		Aliases:           []string{"rm"},
		Short:             "Tell somebody no more",
		Long:              "Tell somebody no more, not even what waits to be delivered.",
		Example:           "  lighterage notification delete ops",
		Args:              takes("NOTIFICATION"),
		ValidArgsFunction: a.completeNotification(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			n, err := c.notification(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.DeleteNotificationWithResponse(cmd.Context(), n.ID)
			if err != nil {
				return c.check(err, nil, nil, "delete notification %s", n.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "delete notification %s", n.Name); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Notification %s is deleted\n", n.Name)
			return err
		},
	}
}

func (a *app) notificationTest(s *serverFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "test NOTIFICATION",
		Short:             "Send a test now",
		Long:              "Send an event now that says it is a test, and say how that went.",
		Example:           "  lighterage notification test ops",
		Args:              takes("NOTIFICATION"),
		ValidArgsFunction: a.completeNotification(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			n, err := c.notification(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.TestNotificationWithResponse(cmd.Context(), n.ID)
			if err != nil {
				return c.check(err, nil, nil, "test notification %s", n.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "test notification %s", n.Name); err != nil {
				return err
			}
			if text := r.JSON200.Error; text != "" {
				return &failure{exitFailed, fmt.Errorf("test notification %s: %s", n.Name, term.Safe(text)), "Look at its URL with: lighterage notification view " + quoted(n.Name)}
			}
			_, err = fmt.Fprintf(a.Stdout, "%s took it and answered %d\n", n.Name, r.JSON200.ResponseStatus)
			return err
		},
	}
}

func (a *app) notificationDeliveries(s *serverFlags) *cobra.Command {
	var output, status string
	cmd := &cobra.Command{
		Use:   "deliveries NOTIFICATION",
		Short: "List what was told and what waits to be",
		Long: `List what was told and what waits to be, the newest first. What is done is kept
for the last 200; --output json has the bodies.`,
		Example:           "  lighterage notification deliveries ops\n  lighterage notification deliveries ops --status failed",
		Args:              takes("NOTIFICATION"),
		ValidArgsFunction: a.completeNotification(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			n, err := c.notification(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			q := ""
			if status != "" {
				q = "status=" + status
			}
			all, err := pages(0, func(page, size *int64) (*[]gen.NotificationDelivery, error) {
				r, err := c.ListNotificationDeliveriesWithResponse(cmd.Context(), n.ID, &gen.ListNotificationDeliveriesParams{Q: q, Page: page, PageSize: size})
				if err != nil {
					return nil, c.check(err, nil, nil, "list deliveries")
				}
				return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list deliveries")
			})
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, all)
			}
			if len(all) == 0 {
				fmt.Fprintln(a.Stderr, "There are no such deliveries.")
				return nil
			}
			table := term.Table{Header: []string{"EVENT", "TIME", "STATUS", "ATTEMPTS", "NEXT", "ERROR"}}
			for _, d := range all {
				status := term.Cell{Text: d.Status, Style: term.Note}
				switch d.Status {
				case "delivered":
					status.Style = term.Good
				case "failed":
					status.Style = term.Bad
				}
				next := ""
				if d.NextAttemptTime != nil && d.Status == "waiting" {
					next = clock(*d.NextAttemptTime)
				}
				table.Row(term.Text(d.Event), term.Text(clock(d.CreationTime)), status, term.Text(strconv.FormatInt(d.Attempts, 10)), term.Text(next), term.Text(d.Error))
			}
			return table.Write(a.screen)
		},
	}
	cmd.Flags().Var(&choice{&status, []string{"", "waiting", "delivered", "failed"}}, "status", "only those that are waiting, delivered or failed")
	complete(cmd, "status", "waiting", "delivered", "failed")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// notifications lists those whose name contains a text; "" is all.
func (c *api) notifications(ctx context.Context, name string) ([]gen.Notification, error) {
	return pages(0, func(page, size *int64) (*[]gen.Notification, error) {
		r, err := c.ListNotificationsWithResponse(ctx, &gen.ListNotificationsParams{Name: name, Sort: "id", Page: page, PageSize: size})
		if err != nil {
			return nil, c.check(err, nil, nil, "list notifications")
		}
		return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list notifications")
	})
}

func (c *api) getNotification(ctx context.Context, id int64) (gen.Notification, error) {
	r, err := c.GetNotificationWithResponse(ctx, id)
	if err != nil {
		return gen.Notification{}, c.check(err, nil, nil, "get notification %d", id)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "get notification %d", id); err != nil {
		return gen.Notification{}, err
	}
	return *r.JSON200, nil
}

// notification finds one by name or id.
func (c *api) notification(ctx context.Context, nameOrID string) (gen.Notification, error) {
	return find(ctx, "notification", nameOrID, c.notifications, c.getNotification,
		func(n gen.Notification) (string, int64) { return n.Name, n.ID })
}

func (a *app) completeNotification(s *serverFlags) cobra.CompletionFunc {
	return a.completeNames(s, func(ctx context.Context, c *api, prefix string) ([]string, error) {
		all, err := c.notifications(ctx, prefix)
		var names []string
		for _, n := range all {
			names = append(names, n.Name+"\t"+strings.Join(n.Events, ", "))
		}
		return names, err
	})
}
